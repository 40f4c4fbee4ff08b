"""The files of the demo page, and how they are served."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.http.web import WEB_POLICY
from tests.harness.here import Here, served_here
from tests.harness.node import JS, install
from tests.harness.redis import RedisServer

WEB: Final = Path(__file__).parent.parent.parent / "app" / "web"
OURS: Final = [path for path in sorted(WEB.iterdir()) if path.is_file()]
VENDORED: Final = WEB / "vendor"


@pytest.fixture
async def served(redis_server: RedisServer) -> AsyncIterator[httpx.AsyncClient]:
    async with served_here(redis_server.url(), demo=True) as [replica], client_of(replica) as client:
        yield client


def client_of(replica: Here) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=replica.url, trust_env=False)


async def test_the_page_and_all_that_it_is_made_of_are_served_under_the_policy(served: httpx.AsyncClient) -> None:
    types = {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
    files = [path for path in WEB.rglob("*") if path.is_file()]
    paths = {f"/web/{path.relative_to(WEB).as_posix()}": path for path in files} | {"/": WEB / "index.html"}
    for path, file in paths.items():
        answer = await served.get(path)
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert answer.headers["content-type"] == types[file.suffix]
        assert answer.headers["content-security-policy"] == WEB_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = await served.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]


async def test_nothing_else_is_served(served: httpx.AsyncClient) -> None:
    for path in ("/web", "/web/", "/web/vendor", "/web/../http/web.py", "/web/%2e%2e/http/web.py", "/web//etc/passwd"):
        answer = await served.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await served.post("/")).status_code == 405


async def test_without_the_setting_there_is_no_page(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as [replica], client_of(replica) as client:
        for path in ("/", "/web/main.js"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_the_policy_allows_nothing_foreign_and_nothing_inline() -> None:
    sources = dict(directive.split(" ", 1) for directive in WEB_POLICY.split("; "))
    assert sources.pop("default-src") == "'none'"
    assert set(sources.values()) == {"'self'", "'none'"}
    assert {name for name, source in sources.items() if source == "'none'"} == {
        "base-uri",
        "frame-ancestors",
        "form-action",
    }


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_files_name_no_foreign_host(path: Path) -> None:
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text())) <= {"http://www.w3.org"}


def test_nothing_is_inline_and_nothing_is_taken_for_markup() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", page)
    for path in WEB.glob("*.js"):
        markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"
        assert not re.search(markup, path.read_text())


def test_the_client_is_the_package_as_it_is_published() -> None:
    install()
    package = JS / "node_modules" / "socket.io-client"
    for vendored, published in (
        ("socket.io.esm.min.js", "dist/socket.io.esm.min.js"),
        ("socket.io.LICENSE.txt", "LICENSE"),
    ):
        assert (VENDORED / vendored).read_bytes() == (package / published).read_bytes()
    assert {path.name for path in VENDORED.iterdir()} == {"socket.io.esm.min.js", "socket.io.LICENSE.txt"}
