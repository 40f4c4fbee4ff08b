"""Engine.IO packets in the formats of both transports."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = [
    "CLOSE",
    "NOOP",
    "PING",
    "PROBE_ANSWER",
    "SEPARATOR",
    "Encoded",
    "ProtocolError",
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

# The first byte of a frame that is a whole text, and the opcodes.
_TEXT_FRAME: Final = 0x81
_TEXT: Final = 1
_BINARY: Final = 2


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
    """

    __slots__ = ("websocket",)

    def __init__(self, *parts: str | bytes) -> None:
        self.websocket = b"".join(map(_frame, parts))

    @property
    def size(self) -> int:
        return len(self.websocket) + _OVERHEAD

    @property
    def polling(self) -> bytes:
        """The packets in the format of a long-polling payload."""
        return _SEPARATOR.join(part if is_text else b"b" + base64.b64encode(part) for is_text, part in self._parts())

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The packets as ASGI ``websocket.send`` messages."""
        return [
            {"type": "websocket.send", "text": part.decode()} if is_text else {"type": "websocket.send", "bytes": part}
            for is_text, part in self._parts()
        ]

    def _parts(self) -> Iterator[tuple[bool, bytes]]:
        frames, at = self.websocket, 0
        while at < len(frames):
            opcode, size = frames[at : at + 2]
            at += 2
            if size > 125:
                width = 2 if size == 126 else 8
                size = int.from_bytes(frames[at : at + width], "big")
                at += width
            yield opcode == _TEXT_FRAME, frames[at : at + size]
            at += size


def message(data: str | bytes) -> Encoded:
    """Return an Engine.IO message."""
    return Encoded("4" + data if isinstance(data, str) else data)


def payload(messages: Iterable[Encoded]) -> bytes:
    """Return the body of a long-polling response."""
    return _SEPARATOR.join([message.polling for message in messages])


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
    """Return a whole message as one unmasked frame (RFC 6455, section 5.2)."""
    size = len(data)
    if size < 126:
        return bytes((0x80 | opcode, size)) + data
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + data
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + data


def _frame(part: str | bytes) -> bytes:
    return websocket_frame(_TEXT, part.encode()) if isinstance(part, str) else websocket_frame(_BINARY, part)


PING: Final = Encoded("2")
PROBE_ANSWER: Final = Encoded("3probe")
CLOSE: Final = Encoded("1")
NOOP: Final = Encoded("6")
