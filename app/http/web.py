"""The demo page at ``/``: the static files of ``app/web``, with a strict Content-Security-Policy.

The page names its files with their version, so that browsers keep them: a second visit only asks for the page.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import orjson
from quart import Blueprint, Response, abort

from app.http.client_script import CLIENT_SCRIPT
from app.http.static_files import CONTENT_TYPES, WEB_FOLDER, StaticFile, file_response, static_file
from app.http.web_bundle import bundle

__all__ = ["PageSettings", "page_policy", "web_blueprint"]

_PAGE: Final = "index.html"
_ENTRY: Final = "main.js"
_BUNDLE: Final = "bundle.js"


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page knows of the deployment: how codes look, and the hosts that posters may come from."""

    digits: bool = True
    code_length: int = 6
    image_hosts: Sequence[str] = ()


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
    def page() -> StaticFile:
        return static_file(_page(settings), ".html")

    @routes.get("/")
    async def index() -> Response:
        return _response(page(), policy)

    @routes.get("/web/<path:name>")
    async def part(name: str) -> Response:
        version, _, rest = name.partition("/")
        is_current = version == _version()
        # While replicas of two versions run, each serves its own files to the pages of the other one.
        file = _files().get(name) or _files().get(rest)
        if file is None:
            abort(404)
        return _response(file, policy, immutable=is_current)

    return routes


def _response(file: StaticFile, policy: str, *, immutable: bool = False) -> Response:
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if immutable else "no-cache",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    return file_response(file, headers)


def _page(settings: PageSettings) -> bytes:
    """Return the page with its settings; it names all files that it needs at first, so that one wave gets them."""
    folder = f"/web/{_version()}/"
    told = {"digits": settings.digits, "codeLength": settings.code_length, "imageHosts": list(settings.image_hosts)}
    page = (WEB_FOLDER / _PAGE).read_text().replace(f"/web/{_ENTRY}", f"/web/{_BUNDLE}").replace('"/web/', f'"{folder}')
    page = page.replace('content="{}"', f'content="{escape(orjson.dumps(told).decode())}"')
    return page.replace("</head>", f'<link rel="modulepreload" href="{folder}{CLIENT_SCRIPT}">\n</head>').encode()


@functools.cache
def _files() -> dict[str, StaticFile]:
    """Return the files by their names under ``/web/``. Paths of requests never reach the file system."""
    files = {
        path.relative_to(WEB_FOLDER).as_posix(): static_file(path.read_bytes(), path.suffix)
        for path in sorted(WEB_FOLDER.rglob("*"))
        if path.suffix in CONTENT_TYPES
    }
    return files | {_BUNDLE: static_file(bundle(WEB_FOLDER, _ENTRY), ".js")}


@functools.cache
def _version() -> str:
    return hashlib.sha256("".join(file.etag for file in _files().values()).encode()).hexdigest()[:12]
