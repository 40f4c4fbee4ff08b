"""Parses the frames of clients: https://www.rfc-editor.org/rfc/rfc6455#section-5.2."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from app.compression import LAST_BLOCK, SYNC_FLUSH, WINDOW_BITS

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "INVALID_DATA",
    "PING",
    "PONG",
    "PROTOCOL_ERROR",
    "TEXT",
    "TOO_BIG",
    "Frame",
    "FrameError",
    "check_close",
    "inflated",
    "read_frame",
]

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

# Close codes, section 7.4.1.
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

# The bit of the first frame of a compressed message: https://www.rfc-editor.org/rfc/rfc7692#section-6.
_COMPRESSED: Final = 0x40

_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
# The codes that a peer may send: section 7.4 and the IANA registry.
_CLOSE_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_OWN_CLOSE_CODES: Final = range(3000, 5000)


class FrameError(Exception):
    """The peer violated the protocol; the connection fails with the close code ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Frame(NamedTuple):
    """One frame; ``end`` is the position of the next one.

    ``is_compressed``: it begins a message compressed with permessage-deflate.
    """

    opcode: int
    is_last: bool
    is_compressed: bool
    payload: bytes
    end: int


def read_frame(data: bytes | bytearray, at: int, max_size: int, *, deflate: bool = False) -> Frame | None:
    """Return the frame that begins at ``at``, None if it is incomplete.

    ``max_size``: bytes of the largest payload of a data frame. ``deflate``: messages may be compressed. Raises
    ``FrameError`` as soon as the frame's header is complete.
    """
    end = len(data)
    if end - at < 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, size = first & 0x0F, second & 0x7F
    # Reserved bits are for extensions, and clients mask their frames (section 5.1).
    if not second & 0x80 or opcode not in _OPCODES:
        raise FrameError(PROTOCOL_ERROR)
    if first & 0x70 and not (deflate and first & 0x70 == _COMPRESSED and opcode in (TEXT, BINARY)):
        raise FrameError(PROTOCOL_ERROR)
    is_control = opcode >= CLOSE
    if is_control and (first < 0x80 or size > 125):
        raise FrameError(PROTOCOL_ERROR)
    start = at + 6
    if size > 125:
        width = 2 if size == 126 else 8
        start += width
        if end < start:
            return None
        size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
        # Only the shortest encoding of a length is valid.
        if size < (126 if width == 2 else 65_536):
            raise FrameError(PROTOCOL_ERROR)
    if size > max_size and not is_control:
        raise FrameError(TOO_BIG)
    stop = start + size
    if end < stop:
        return None
    payload = _unmasked(data[start:stop], bytes(data[start - 4 : start]))
    return Frame(opcode, first >= 0x80, first & _COMPRESSED != 0, payload, stop)


def inflated(payload: bytes, max_size: int) -> bytes:
    """Return the data of a compressed message; of a larger one no more than ``max_size`` bytes and one are made.

    Raises ``FrameError``.
    """
    decompressor = zlib.decompressobj(WINDOW_BITS)
    try:
        # Without the last block an incomplete message would not be noticed.
        data = decompressor.decompress(payload + SYNC_FLUSH + LAST_BLOCK, max_size + 1)
    except zlib.error:
        raise FrameError(INVALID_DATA) from None
    if len(data) > max_size:
        raise FrameError(TOO_BIG)
    # The sender may have ended the data itself, and then adds an empty block (RFC 7692, section 7.2.3.4).
    if not decompressor.eof or decompressor.unused_data not in (b"", b"\0" + SYNC_FLUSH + LAST_BLOCK):
        raise FrameError(INVALID_DATA)
    return data


def check_close(payload: bytes) -> None:
    """Check the payload of a close frame (section 5.5.1). Raises ``FrameError``."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or (code not in _CLOSE_CODES and code not in _OWN_CLOSE_CODES):
        raise FrameError(PROTOCOL_ERROR)
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA) from None


def _unmasked(payload: bytes | bytearray, mask: bytes) -> bytes:
    """Section 5.3."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
