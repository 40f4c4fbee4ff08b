"""Engine.IO packets in the formats of both transports."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import starmap
from typing import Any, Final

from app.compression import MIN_MESSAGE, deflated, gzip_of

__all__ = [
    "CLOSE",
    "NOOP",
    "PING",
    "PROBE_ANSWER",
    "SEPARATOR",
    "Encoded",
    "Outgoing",
    "ProtocolError",
    "gzip_payload",
    "made",
    "may_compress",
    "message",
    "packets",
    "parsed_size",
    "payload",
    "text_size",
    "websocket_frame",
]

# https://github.com/socketio/engine.io-protocol, revision 4: the separator of packets in a payload.
SEPARATOR: Final = "\x1e"

_SEPARATOR: Final = SEPARATOR.encode()

# Python's overhead of a queued message: three objects and its place in the queue.
_OVERHEAD: Final = 400

_TEXT: Final = 1
_BINARY: Final = 2
# The bits in a frame's first byte: the last frame of a message, and the first one of a compressed message.
_LAST: Final = 0x80
_COMPRESSED: Final = 0x40


class ProtocolError(Exception):
    """The peer violated the protocol; its connection is closed.

    ``reason`` is a word from a fixed set, for logs and metrics. It never contains data of the peer.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Encoded:
    """One message, encoded once, to be sent to any number of sockets over either transport.

    It consists of Engine.IO packets in order: text with its type digit, or the bytes of a binary message. Only their
    complete, unmasked WebSocket frames (RFC 6455, section 5.2) are kept, in ``websocket``; other formats are made on
    request. ``size`` is the memory that it takes while it is queued.

    ``compress``: it may be compressed. Never with secrets in it: the compressed size reveals them to those who choose
    other parts of it. The compressed frames are made once, when the first socket needs them, and kept.
    """

    __slots__ = ("_deflated", "compress", "websocket")

    def __init__(self, *parts: str | bytes, compress: bool = False) -> None:
        self.websocket = b"".join(map(_frame, parts))
        self.compress = compress
        self._deflated: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.websocket) + _OVERHEAD + (len(self._deflated) if self._deflated is not None else 0)

    @property
    def deflated(self) -> bytes:
        """The frames for a WebSocket with permessage-deflate; small ones and those with secrets are as in others."""
        if not self.compress or len(self.websocket) < MIN_MESSAGE:
            return self.websocket
        if self._deflated is None:
            self._deflated = b"".join(starmap(_deflated_frame, _read(self.websocket)))
        return self._deflated

    @property
    def polling(self) -> bytes:
        """The packets in the format of a long-polling payload."""
        return _SEPARATOR.join(
            part if opcode == _TEXT else b"b" + base64.b64encode(part) for opcode, part in _read(self.websocket)
        )

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The packets as ASGI ``websocket.send`` messages."""
        return [
            {"type": "websocket.send", "text": part.decode()}
            if opcode == _TEXT
            else {"type": "websocket.send", "bytes": part}
            for opcode, part in _read(self.websocket)
        ]


Outgoing = Encoded | Callable[[], Encoded | None]
"""A message, or what makes it when it can be written; None is no message."""


def made(outgoing: Outgoing) -> Encoded | None:
    """Return the message to write."""
    return outgoing() if callable(outgoing) else outgoing


def message(data: str | bytes) -> Encoded:
    """Return an Engine.IO message."""
    return Encoded("4" + data if isinstance(data, str) else data)


def payload(messages: Iterable[Encoded]) -> bytes:
    """Return the body of a long-polling response."""
    return _SEPARATOR.join([message.polling for message in messages])


def may_compress(messages: Iterable[Encoded]) -> bool:
    """Return whether none of the messages has secrets."""
    return all(message.compress for message in messages)


def gzip_payload(messages: Sequence[Encoded]) -> bytes:
    """Return ``payload`` in gzip format. That of a large text alone is compressed once for both transports."""
    body = payload(messages)
    frames = list(_read(messages[0].deflated)) if len(messages) == 1 else []
    is_compressed = len(frames) == 1 and frames[0][0] == _COMPRESSED | _TEXT
    return gzip_of(frames[0][1] if is_compressed else deflated(body), body)


def packets(payload: str) -> Iterator[str]:
    """Yield the packets of a long-polling payload one at a time.

    A list of many tiny packets would take twenty times their memory.
    """
    start = 0
    while (end := payload.find(SEPARATOR, start)) >= 0:
        yield payload[start:end]
        start = end + 1
    yield payload[start:]


def text_size(text: str) -> int:
    """Return the length of ``text`` in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def parsed_size(text: str) -> int:
    """Return a bound on the memory of a JSON text and its parsed value.

    Nested and empty values take twenty times as much as their text.
    """
    values = text.count(",") + text.count(":")
    containers = 88 * text.count("[") + 256 * text.count("{")
    return _OVERHEAD + len(text) * (1 if text.isascii() else 4) + 80 * values + containers


def websocket_frame(opcode: int, data: bytes) -> bytes:
    """Return a whole message as one unmasked frame (RFC 6455, section 5.2); ``opcode`` has the reserved bits."""
    size = len(data)
    if size < 126:
        return bytes((0x80 | opcode, size)) + data
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + data
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + data


def _deflated_frame(opcode: int, data: bytes) -> bytes:
    return (
        websocket_frame(_COMPRESSED | opcode, deflated(data))
        if len(data) >= MIN_MESSAGE
        else websocket_frame(opcode, data)
    )


def _read(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the opcode, with the bit of compression, and the payload of each of our frames."""
    at = 0
    while at < len(frames):
        first, size = frames[at : at + 2]
        at += 2
        if size > 125:
            width = 2 if size == 126 else 8
            size = int.from_bytes(frames[at : at + width], "big")
            at += width
        yield first & ~_LAST, frames[at : at + size]
        at += size


def _frame(part: str | bytes) -> bytes:
    return websocket_frame(_TEXT, part.encode()) if isinstance(part, str) else websocket_frame(_BINARY, part)


PING: Final = Encoded("2", compress=True)
PROBE_ANSWER: Final = Encoded("3probe")
CLOSE: Final = Encoded("1", compress=True)
NOOP: Final = Encoded("6", compress=True)
