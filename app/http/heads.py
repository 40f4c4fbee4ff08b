"""The head of a request, that is the request line and the header fields: its limits, and its path."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import httptools

__all__ = ["MAX_FIELDS", "MAX_HEAD_BYTES", "begins_too_large", "head_size", "path_of"]

MAX_HEAD_BYTES: Final = 16_384
MAX_FIELDS: Final = 100

# No shorter head has more fields.
_MIN_TOO_LARGE_BYTES: Final = 4 * MAX_FIELDS
# The bytes of the method and the version, which do not count, are fewer.
_ROOM_BYTES: Final = 64


def begins_too_large(data: bytes) -> bool:
    """Return whether ``data`` begins with a head that is too large. This is cheaper than parsing its fields."""
    if len(data) < _MIN_TOO_LARGE_BYTES:
        return False
    most = MAX_HEAD_BYTES + _ROOM_BYTES
    end = data.find(b"\r\n\r\n", 0, most)
    # The request line comes before the fields.
    return (end < 0 and len(data) > most) or data.count(b"\n", 0, end) > MAX_FIELDS + 1


def head_size(url: bytes, fields: list[tuple[bytes, bytes]]) -> int:
    """Return the bytes of a head that count."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in fields)


def path_of(url: bytes) -> str:
    """Return the path that a request line asks for."""
    return unquote((httptools.parse_url(url).path or b"").decode("ascii"))
