"""Compresses WebSocket messages and HTTP responses; nothing is kept from one to the next.

A compressed message is raw DEFLATE data up to a sync flush, without the last four bytes of the flush:
https://www.rfc-editor.org/rfc/rfc7692#section-7.2. The gzip format of a text is made of the same data.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = [
    "LAST_BLOCK",
    "MIN_MESSAGE",
    "MIN_SIZE",
    "SYNC_FLUSH",
    "WINDOW_BITS",
    "accepts_gzip",
    "deflated",
    "gzip_of",
    "gzipped",
]

MIN_SIZE: Final = 1024
"""Bytes from which responses are compressed. Less than that fits into one TCP segment in any case."""

MIN_MESSAGE: Final = 256
"""Bytes from which WebSocket messages are compressed. Patches are sent to many members, so each byte counts."""

WINDOW_BITS: Final = -15
"""The largest window, and no header, in the terms of zlib."""

SYNC_FLUSH: Final = b"\0\0\xff\xff"
"""The end of a sync flush, which a compressed message omits."""

LAST_BLOCK: Final = b"\x03\0"
"""An empty block that ends the data."""

# Level 6 takes up to twice the CPU time and makes updates a twentieth to an eighth smaller.
_LEVEL: Final = 1
# One less than zlib's default: the allocator gives less than 128 KiB without asking the kernel, which takes 16 µs.
_MEMORY_LEVEL: Final = 7
# RFC 1952, section 2.3: no time, no flags, an unknown system.
_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def deflated(data: bytes) -> bytes:
    """Return the payload of a compressed message."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, WINDOW_BITS, _MEMORY_LEVEL)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC_FLUSH)


def gzip_of(payload: bytes, data: bytes) -> bytes:
    """Return the gzip format of ``data``, whose ``deflated`` form is ``payload``."""
    checksum, size = (number.to_bytes(4, "little") for number in (zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join((_GZIP_HEAD, payload, SYNC_FLUSH, LAST_BLOCK, checksum, size))


def gzipped(data: bytes) -> bytes:
    """Return the gzip format of ``data``."""
    return gzip_of(deflated(data), data)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether a client with this ``Accept-Encoding`` takes gzip (RFC 9110, section 12.5.3)."""
    weights = {}
    for element in (accept_encoding or "").lower().split(","):
        name, _, parameter = element.partition(";")
        weights[name.strip()] = parameter.replace(" ", "")
    return weights.get("gzip", weights.get("*", "q=0")).rstrip(".0") != "q="
