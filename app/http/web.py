"""The demo page at ``/``: the static files of ``app/web``, with a strict Content-Security-Policy.

The page names its files with their version, so that browsers keep them: a second visit only asks for the page.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import orjson
from quart import Blueprint, Response, abort, request

from app.compression import accepts_gzip
from app.http.web_bundle import bundle

__all__ = ["PageSettings", "page_policy", "web_blueprint"]

_FOLDER: Final = Path(__file__).parent.parent / "web"
_PAGE: Final = "index.html"
_ENTRY: Final = "main.js"
_BUNDLE: Final = "bundle.js"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
# What the bundle imports, so that it is asked for together with it.
_PRELOADED: Final = "vendor/socket.io.esm.min.js"


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page knows of the deployment: how codes look, and the hosts that posters may come from."""

    digits: bool = True
    code_length: int = 6
    image_hosts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    compressed: bytes
    content_type: str
    etag: str


def page_policy(image_hosts: Sequence[str]) -> str:
    """Return the Content-Security-Policy: its own files, its own origin, posters of these hosts, nothing inline."""
    images = " ".join(["'self'", *(f"https://{host}" for host in image_hosts)])
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {images}; "
        "manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )


def web_blueprint(settings: PageSettings) -> Blueprint:
    """Return the routes: the page, and its files under ``/web/VERSION/`` and ``/web/``."""
    routes = Blueprint("web", __name__)
    policy = page_policy(settings.image_hosts)

    @functools.cache
    def page() -> _File:
        return _file(_page(settings), ".html")

    @routes.get("/")
    async def index() -> Response:
        return _served(page(), policy)

    @routes.get("/web/<path:name>")
    async def part(name: str) -> Response:
        version, _, rest = name.partition("/")
        is_current = version == _version()
        # While replicas of two versions run, each serves its own files to the pages of the other one.
        file = _files().get(name) or _files().get(rest)
        if file is None:
            abort(404)
        return _served(file, policy, immutable=is_current)

    return routes


def _served(file: _File, policy: str, *, immutable: bool = False) -> Response:
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if immutable else "no-cache",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
    }
    fresh = request.if_none_match.contains_weak(file.etag)
    body = b"" if fresh else file.body
    if not fresh and len(file.compressed) < len(file.body) and accepts_gzip(request.headers.get("Accept-Encoding")):
        headers["Content-Encoding"] = "gzip"
        body = file.compressed
    response = Response(body, 304 if fresh else 200, headers, content_type=file.content_type)
    response.set_etag(file.etag)
    return response


def _page(settings: PageSettings) -> bytes:
    """Return the page with its settings; it names all files that it needs at first, so that one wave gets them."""
    folder = f"/web/{_version()}/"
    told = {"digits": settings.digits, "codeLength": settings.code_length, "imageHosts": list(settings.image_hosts)}
    page = (_FOLDER / _PAGE).read_text().replace(f"/web/{_ENTRY}", f"/web/{_BUNDLE}").replace('"/web/', f'"{folder}')
    page = page.replace('content="{}"', f'content="{escape(orjson.dumps(told).decode())}"')
    return page.replace("</head>", f'<link rel="modulepreload" href="{folder}{_PRELOADED}">\n</head>').encode()


@functools.cache
def _files() -> dict[str, _File]:
    """Return the files by their names under ``/web/``. Paths of requests never reach the file system."""
    files = {
        path.relative_to(_FOLDER).as_posix(): _file(path.read_bytes(), path.suffix)
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }
    return files | {_BUNDLE: _file(bundle(_FOLDER, _ENTRY), ".js")}


@functools.cache
def _version() -> str:
    return hashlib.sha256("".join(file.etag for file in _files().values()).encode()).hexdigest()[:12]


def _file(body: bytes, suffix: str) -> _File:
    return _File(body, gzip.compress(body, mtime=0), _TYPES[suffix], hashlib.sha256(body).hexdigest()[:32])
