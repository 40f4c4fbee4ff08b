"""The JavaScript client: what it does, what is in its package, and that what is committed is built from its source."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.http.static_files import WEB_FOLDER
from tests.harness.here import served_here
from tests.harness.node import CLIENT, JS, npm, run_js
from tests.harness.redis import RedisServer

ROOT: Final = CLIENT.parent.parent
MOST_BYTES: Final = 6_000
SERVED: Final = WEB_FOLDER / "vendor" / "client.js"


@pytest.mark.slow
async def test_its_rules_hold_against_replicas(redis_server: RedisServer) -> None:
    rules = (JS / "session-client.mjs").read_text().count('\ntest("')
    async with served_here(redis_server.url(), 3, grace=1) as replicas:
        addresses = ",".join(replica.url for replica in replicas)
        done = await run_js(JS / "session-client.mjs", env={"ADDRESSES": addresses}, timeout=50)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^\S pass {rules}$", done.stdout, re.MULTILINE), done.stdout


async def test_what_is_committed_is_what_the_source_builds_to(tmp_path: Path) -> None:
    built = tmp_path / "dist"
    done = await run_js(CLIENT / "build.mjs", str(built), str(tmp_path), timeout=50)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    committed = {path.name: path.read_text() for path in (CLIENT / "dist").iterdir()}
    assert {path.name: path.read_text() for path in built.iterdir()} == committed, "run make client-js"
    assert (tmp_path / "client.js").read_text() == SERVED.read_text(), "run make client-js"


def test_the_package_has_the_module_the_hooks_and_the_types() -> None:
    [packed] = json.loads(npm("pack", "--dry-run", "--json", "--ignore-scripts", folder=CLIENT))
    scripts, types = (
        {"dist/index.js", "dist/react.js"},
        {"dist/index.d.ts", "dist/react.d.ts", "dist/join-session.d.ts"},
    )
    names = {file["path"] for file in packed["files"]}
    assert names >= {"package.json", "README.md", "LICENSE"} | scripts | types
    assert names - {"package.json", "README.md", "LICENSE"} - scripts == {
        f"dist/{path.name}" for path in (CLIENT / "dist").glob("*.d.ts")
    }
    shown = json.loads((CLIENT / "package.json").read_text())
    for entry in shown["exports"].values():
        assert {path.removeprefix("./") for path in entry.values()} <= names
    assert shown["dependencies"].keys() == {"socket.io-client"}
    assert shown["peerDependenciesMeta"] == {"react": {"optional": True}}
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_is_small_and_its_types_are_those_of_the_api() -> None:
    assert len(gzip.compress((CLIENT / "dist" / "index.js").read_bytes())) < MOST_BYTES
    assert (CLIENT / "dist" / "join-session.d.ts").read_text() == (ROOT / "docs" / "join-session.d.ts").read_text()


async def test_the_service_serves_it_whether_or_not_it_has_a_page(redis_server: RedisServer) -> None:
    origin = "https://movies.example"
    settings: dict[str, Any] = {"allowed_origins": origin}
    async with (
        served_here(redis_server.url(), **settings) as [replica],
        httpx.AsyncClient(base_url=replica.url, trust_env=False) as client,
    ):
        answer = await client.get("/client.js", headers={"Origin": origin})
        assert (answer.status_code, answer.text) == (200, SERVED.read_text())
        headers = answer.headers
        assert headers["content-type"] == "text/javascript; charset=utf-8"
        assert headers["content-encoding"] == "gzip"
        assert headers["cache-control"] == "no-cache"
        assert headers["access-control-allow-origin"] == origin
        assert headers["x-content-type-options"] == "nosniff"
        again = await client.get("/client.js", headers={"If-None-Match": headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
