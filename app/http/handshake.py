"""The opening handshake of a WebSocket: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from app.http.refusals import INVALID, NO_HANDSHAKE, OTHER_VERSION, Refused

__all__ = ["asks_for_websocket", "check_handshake"]

Fields = Sequence[tuple[bytes, bytes]]

# Sixteen bytes in base64.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


def asks_for_websocket(fields: Fields) -> bool:
    """Whether a request that offers another protocol means this one."""
    return [value.lower() for value in _values(fields, b"upgrade")] == [b"websocket"]


def check_handshake(fields: Fields) -> None:
    """Raises ``Refused`` for what the WebSocket library would refuse with a text, or wait for."""
    if _values(fields, b"transfer-encoding") or any(value != b"0" for value in _values(fields, b"content-length")):
        raise Refused(INVALID)
    if _values(fields, b"sec-websocket-version") != [b"13"]:
        raise Refused(OTHER_VERSION)
    keys = _values(fields, b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise Refused(NO_HANDSHAKE)


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]
