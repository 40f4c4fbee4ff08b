"""Engine.IO packets in every shape a transport wants them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

# https://github.com/socketio/engine.io-protocol, revision 4: the packets of a payload are parted by this character.
SEPARATOR: Final = "\x1e"

_TEXT_FRAME: Final = 0x81
_BINARY_FRAME: Final = 0x82


class ProtocolError(Exception):
    """The peer broke the protocol; its connection is closed.

    `reason` is a stable word for logs and counters, it never holds what the peer sent.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Encoded:
    """One message, encoded once, to be sent to any number of sockets over either transport.

    `parts` are Engine.IO packets in order: text with its type digit, or the bytes of a binary message.
    `websocket` holds the finished, unmasked WebSocket frames (RFC 6455, section 5.2), `size` is their length in bytes.
    """

    __slots__ = ("__dict__", "parts", "size", "websocket")

    def __init__(self, *parts: str | bytes) -> None:
        self.parts = parts
        self.websocket = b"".join(map(_websocket_frame, parts))
        self.size = len(self.websocket)

    @cached_property
    def polling(self) -> str:
        """The packets as they stand in a long-polling payload."""
        return SEPARATOR.join(part if isinstance(part, str) else _base64_packet(part) for part in self.parts)

    @cached_property
    def messages(self) -> tuple[dict[str, Any], ...]:
        """The packets as ASGI `websocket.send` messages."""
        return tuple(
            {"type": "websocket.send", "text" if isinstance(part, str) else "bytes": part} for part in self.parts
        )


def message(data: str | bytes) -> Encoded:
    """Return an Engine.IO message."""
    return Encoded("4" + data if isinstance(data, str) else data)


def payload(messages: Iterable[Encoded]) -> bytes:
    """Return the body of a long-polling response."""
    return SEPARATOR.join([message.polling for message in messages]).encode()


def text_size(text: str) -> int:
    """Return the length of `text` in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def _websocket_frame(part: str | bytes) -> bytes:
    opcode, data = (_TEXT_FRAME, part.encode()) if isinstance(part, str) else (_BINARY_FRAME, part)
    size = len(data)
    if size < 126:
        return bytes((opcode, size)) + data
    if size < 65536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + data
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + data


def _base64_packet(data: bytes) -> str:
    return "b" + base64.b64encode(data).decode("ascii")


PING: Final = Encoded("2")
PROBE_ANSWER: Final = Encoded("3probe")
CLOSE: Final = Encoded("1")
NOOP: Final = Encoded("6")
