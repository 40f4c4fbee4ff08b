"""The demo page at ``/``: the static files of ``app/web``, with a strict Content-Security-Policy."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quart import Blueprint, Response, abort, request

__all__ = ["WEB_POLICY", "web_blueprint"]

WEB_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
"""The Content-Security-Policy of the page: its own files, its own origin, nothing inline."""

_FOLDER: Final = Path(__file__).parent.parent / "web"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


def web_blueprint() -> Blueprint:
    """Return the routes: the page, and its files under ``/web/``."""
    routes = Blueprint("web", __name__)

    @routes.get("/")
    async def page() -> Response:
        return _served("index.html")

    @routes.get("/web/<path:name>")
    async def part(name: str) -> Response:
        return _served(name)

    return routes


def _served(name: str) -> Response:
    file = _files().get(name)
    if file is None:
        abort(404)
    # The names do not change between releases, so browsers must revalidate; that is cheap.
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": WEB_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    fresh = request.if_none_match.contains_weak(file.etag)
    response = Response(b"" if fresh else file.body, 304 if fresh else 200, headers, content_type=file.content_type)
    response.set_etag(file.etag)
    return response


@functools.cache
def _files() -> dict[str, _File]:
    """Return the files by their names under ``/web/``. Paths of requests never reach the file system."""
    return {
        path.relative_to(_FOLDER).as_posix(): _File(
            body := path.read_bytes(), _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32]
        )
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }
