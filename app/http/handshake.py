"""The opening handshake of a WebSocket: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

import httptools

from app.http.refusals import INVALID, NO_HANDSHAKE, OTHER_VERSION, Refused

__all__ = ["asgi_handshake", "asks_for_websocket", "check_handshake", "head_of", "key_of", "websocket_scope"]

Fields = Sequence[tuple[bytes, bytes]]

# An ASGI server gets these in a form of their own, or has no use for them.
_NOT_HANDED_OVER: Final = (b"connection", b"upgrade", b"content-length", b"cookie")
# Sixteen bytes in base64.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


def asks_for_websocket(parser: httptools.HttpRequestParser, fields: Fields) -> bool:
    """Return whether a request with an ``Upgrade`` header asks for a WebSocket."""
    if parser.get_method() != b"GET" or parser.get_http_version() != "1.1":
        return False
    return [value.lower() for value in _values(fields, b"upgrade")] == [b"websocket"]


def check_handshake(fields: Fields) -> None:
    """Raise ``Refused`` for a handshake that the WebSocket library would refuse with plain text or wait for."""
    if _values(fields, b"transfer-encoding") or any(value != b"0" for value in _values(fields, b"content-length")):
        raise Refused(INVALID)
    if _values(fields, b"sec-websocket-version") != [b"13"]:
        raise Refused(OTHER_VERSION)
    keys = _values(fields, b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise Refused(NO_HANDSHAKE)


def key_of(fields: Fields) -> bytes:
    """The key of a handshake that has been checked."""
    return next(value for name, value in fields if name == b"sec-websocket-key")


def websocket_scope(url: Any, fields: Fields, client: tuple[str, int] | None) -> dict[str, object]:
    """What ASGI calls the scope of a handshake for ``url``, as httptools has parsed it."""
    return {
        "type": "websocket",
        "path": unquote((url.path or b"").decode("ascii")),
        "query_string": url.query or b"",
        "headers": fields,
        "client": client,
    }


def asgi_handshake(url: Any, fields: Fields) -> bytes:
    """The handshake as it is written out again for a WebSocket library that parses it itself."""
    target = url.path if url.query is None else url.path + b"?" + url.query
    kept = [field for field in fields if field[0] not in _NOT_HANDED_OVER]
    return head_of(b"GET %s HTTP/1.1" % target, [*kept, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")])


def head_of(request_line: bytes, fields: Fields) -> bytes:
    """The head of a request."""
    return b"\r\n".join([request_line, *(b"%s: %s" % field for field in fields), b"", b""])


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]
