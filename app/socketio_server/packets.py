"""Parses and encodes Socket.IO packets; input that the protocol does not allow raises ``ProtocolError``.

https://github.com/socketio/socket.io-protocol, revision 5. Stricter than the specification: JSON is RFC 8259 (no NaN,
no lone surrogates, at most 1,024 levels), event names are strings and not reserved, and a packet has at most ten
attachments.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from app.socketio_server.frames import Encoded, ProtocolError
from app.socketio_server.libraries import SocketIOPacket

__all__ = ["MAX_ATTACHMENTS", "RESERVED_EVENTS", "BinaryPacket", "Json", "Packet", "decode"]

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

# The event names that socket.io-parser refuses. "connect" and "disconnect" would call the application's own handlers.
RESERVED_EVENTS: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

# The limit of socket.io-parser 4.2.6. python-socketio has none.
MAX_ATTACHMENTS: Final = 10

# At most 16 digits: larger acknowledgement ids are not exact in JavaScript.
_HEAD: Final = re.compile(r"([0-6])(?:([0-9]{1,2})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]{1,16})?(?![0-9])")
_BINARY_TYPES: Final = (BINARY_EVENT, BINARY_ACK)


class Json:
    """The interface of python-socketio's ``json`` module for encoding, implemented with orjson."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        return orjson.dumps(value).decode()


class Packet(SocketIOPacket):
    """A Socket.IO packet without attachments; binary packets are refused."""

    json = Json
    uses_binary_events = False
    binary_allowed = False

    def decode(self, encoded_packet: str | bytes) -> int:
        """Parse a packet; return how many attachments must follow.

        Raises ``ProtocolError``.
        """
        if not isinstance(encoded_packet, str):
            raise ProtocolError("unexpected binary")
        head = _HEAD.match(encoded_packet)
        if head is None:
            raise ProtocolError("invalid packet")
        kind, attachments, namespace, ack = head.groups()
        self.packet_type = int(kind)
        self.namespace = namespace.partition("?")[0] if namespace else "/"
        self.id = int(ack) if ack else None
        self.data = self._load(encoded_packet[head.end() :])
        self._check()
        return self._count(attachments)

    def encoded(self, *, compress: bool = False) -> Encoded:
        """Return the packet as Engine.IO messages, followed by its attachments.

        ``compress``: whether it may be compressed, see ``Encoded``. Raises TypeError for data that is not JSON.
        """
        encoded = self.encode()
        text, *attachments = encoded if isinstance(encoded, list) else [encoded]
        return Encoded("4" + text, *map(bytes, attachments), compress=compress)

    def _load(self, text: str) -> Any:
        if not text:
            return None
        try:
            value = orjson.loads(text)
        except ValueError:
            raise ProtocolError("invalid json") from None
        if value is None:
            # The checks below must distinguish an absent payload from `null`.
            raise ProtocolError("invalid payload")
        return value

    def _check(self) -> None:
        kind, data = self.packet_type, self.data
        if kind == CONNECT:
            valid = data is None or isinstance(data, dict)
        elif kind == DISCONNECT:
            valid = data is None
        elif kind in (EVENT, BINARY_EVENT):
            valid = isinstance(data, list) and bool(data) and isinstance(data[0], str)
            if valid and data[0] in RESERVED_EVENTS:
                raise ProtocolError("reserved event")
        elif kind in (ACK, BINARY_ACK):
            valid = isinstance(data, list) and self.id is not None
        else:
            valid = False
        if not valid:
            raise ProtocolError("invalid payload")
        if self.id is not None and kind in (CONNECT, DISCONNECT):
            raise ProtocolError("invalid packet")

    def _count(self, attachments: str | None) -> int:
        if self.packet_type not in _BINARY_TYPES:
            if attachments is not None:
                raise ProtocolError("invalid packet")
            return 0
        if not self.binary_allowed:
            raise ProtocolError("unexpected binary")
        if attachments is None or int(attachments) > MAX_ATTACHMENTS:
            raise ProtocolError("invalid attachments")
        return int(attachments)


class BinaryPacket(Packet):
    """A Socket.IO packet that may carry attachments."""

    uses_binary_events = True
    binary_allowed = True

    def add_attachment(self, attachment: bytes) -> bool:
        """Take the next attachment; return whether the packet is complete."""
        self.attachments.append(attachment)
        if len(self.attachments) < self.attachment_count:
            return False
        self.complete()
        return True

    def complete(self) -> None:
        """Replace the placeholders by the attachments."""
        try:
            self.data = _restore(self.data, self.attachments)
        except RecursionError:
            raise ProtocolError("invalid payload") from None


def decode(packet_class: type[Packet], data: str | bytes) -> Packet:
    """Parse a packet; ``attachment_count`` is not 0 if attachments must follow. Raises ``ProtocolError``."""
    if not data:
        raise ProtocolError("invalid packet")
    return packet_class(encoded_packet=data)


def _restore(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, list):
        return [_restore(item, attachments) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _restore(item, attachments) for key, item in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise ProtocolError("invalid attachments")
    return attachments[number]
