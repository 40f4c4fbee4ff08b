"""The files of ``app/web``, read once, and how a response has one: compressed where accepted, 304 where it is known."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quart import Response, request

from app.compression import accepts_gzip

__all__ = ["CONTENT_TYPES", "WEB_FOLDER", "StaticFile", "file_response", "static_file"]

WEB_FOLDER: Final = Path(__file__).parent.parent / "web"

CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent."""

    body: bytes
    compressed: bytes
    content_type: str
    etag: str


def static_file(body: bytes, suffix: str) -> StaticFile:
    """Return the file with this content; ``suffix`` is one of ``CONTENT_TYPES``."""
    etag = hashlib.sha256(body).hexdigest()[:32]
    return StaticFile(body, gzip.compress(body, mtime=0), CONTENT_TYPES[suffix], etag)


def file_response(file: StaticFile, headers: Mapping[str, str]) -> Response:
    """Return the response with a file to the current request."""
    sent = {**headers, "Vary": "Accept-Encoding"}
    fresh = request.if_none_match.contains_weak(file.etag)
    body = b"" if fresh else file.body
    if not fresh and len(file.compressed) < len(file.body) and accepts_gzip(request.headers.get("Accept-Encoding")):
        sent["Content-Encoding"] = "gzip"
        body = file.compressed
    response = Response(body, 304 if fresh else 200, sent, content_type=file.content_type)
    response.set_etag(file.etag)
    return response
