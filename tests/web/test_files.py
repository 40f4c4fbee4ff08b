"""The files of the demo page, and how they are served."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.http.web import page_policy
from tests.harness.here import Here, served_here
from tests.harness.node import JS, install
from tests.harness.redis import RedisServer

WEB: Final = Path(__file__).parent.parent.parent / "app" / "web"
FILES: Final = [path for path in sorted(WEB.rglob("*")) if path.is_file()]
OURS: Final = [path for path in sorted(WEB.iterdir()) if path.suffix != ".png" and path.is_file()]
VENDORED: Final = WEB / "vendor"


@pytest.fixture
async def served(redis_server: RedisServer) -> AsyncIterator[httpx.AsyncClient]:
    async with served_here(redis_server.url(), demo=True) as [replica], client_of(replica) as client:
        yield client


def client_of(replica: Here) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=replica.url, trust_env=False)


TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


async def test_the_page_and_all_that_it_is_made_of_are_served_under_the_policy(served: httpx.AsyncClient) -> None:
    folder = await folder_of(served)
    for file in FILES:
        name = file.relative_to(WEB).as_posix()
        for path in (f"/web/{name}", f"{folder}{name}"):
            answer = await served.get(path)
            assert (answer.status_code, answer.content) == (200, file.read_bytes())
            assert answer.headers["content-type"] == TYPES[file.suffix]
            assert_protected(answer)
            # What is named with the version never changes.
            kept = "public, max-age=31536000, immutable" if path.startswith(folder) else "no-cache"
            assert answer.headers["cache-control"] == kept
            again = await served.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]


async def test_the_page_names_its_files_with_their_version(served: httpx.AsyncClient) -> None:
    page = await served.get("/")
    folder = await folder_of(served)
    assert page.headers["cache-control"] == "no-cache"
    assert_protected(page)
    named = set(re.findall(r'"(/web/[^"]+)"', page.text))
    assert named
    assert all(name.startswith(folder) for name in named)
    assert f'modulepreload" href="{folder}vendor/client.js"' in page.text
    for name in named:
        assert (await served.get(name)).status_code == 200
    again = await served.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A replica of another version serves what it has, for now only.
    other = await served.get(f"/web/{'0' * 12}/main.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")


async def test_files_are_compressed_for_who_accepts_that(served: httpx.AsyncClient) -> None:
    for path, encoding in (("/", "gzip"), ("/web/main.js", "gzip"), ("/web/icon.png", None)):
        async with served.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        plain = await served.get(path, headers={"Accept-Encoding": "identity"})
        assert answer.headers.get("content-encoding") == encoding
        assert "content-encoding" not in plain.headers
        assert (gzip.decompress(raw) if encoding else raw) == plain.content
        assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert answer.headers["etag"] == plain.headers["etag"]


async def test_the_page_knows_the_deployment(redis_server: RedisServer) -> None:
    settings: dict[str, Any] = {"image_hosts": "image.tmdb.org, posters.example", "code_length": 8}
    async with served_here(redis_server.url(), demo=True, **settings) as [replica], client_of(replica) as client:
        page = await client.get("/")
        told = re.search(r'<meta name="page-settings" content="([^"]+)">', page.text)
        assert told is not None
        assert json.loads(unescape(told[1])) == {
            "digits": False,
            "codeLength": 8,
            "imageHosts": ["image.tmdb.org", "posters.example"],
        }
        policy = page.headers["content-security-policy"]
        assert "img-src 'self' https://image.tmdb.org https://posters.example;" in policy


async def test_a_link_is_previewed_alike_for_all_sessions(served: httpx.AsyncClient) -> None:
    page = (await served.get("/")).text
    for name in ("og:title", "og:description", "og:image"):
        assert f'<meta property="{name}" content="' in page


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


def assert_protected(answer: httpx.Response) -> None:
    assert answer.headers["content-security-policy"] == page_policy(())
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def folder_of(served: httpx.AsyncClient) -> str:
    """Where the page has its files."""
    found = re.search(r'src="(/web/[0-9a-f]{12}/)bundle.js"', (await served.get("/")).text)
    assert found is not None
    return found[1]


def test_the_policy_allows_nothing_foreign_and_nothing_inline() -> None:
    sources = dict(directive.split(" ", 1) for directive in page_policy(()).split("; "))
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


def test_the_libraries_are_the_packages_as_they_are_published() -> None:
    install()
    published = {
        "socket.io.LICENSE.txt": "socket.io-client/LICENSE",
        "uqr.mjs": "uqr/dist/index.mjs",
        "uqr.LICENSE.txt": "uqr/LICENSE",
    }
    for vendored, name in published.items():
        assert (VENDORED / vendored).read_bytes() == (JS / "node_modules" / name).read_bytes()
    assert {path.name for path in VENDORED.iterdir()} == {*published, "client.js"}
