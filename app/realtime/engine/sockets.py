"""What the Socket.IO layer keeps for a client."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from .connection import Connection
from .frames import Encoded
from .packets import BinaryPacket


class Socket:
    """A client in one namespace. What is sent to it before its CONNECT is answered is held back in `held`."""

    __slots__ = ("connection", "held", "namespace", "sid")

    def __init__(self, connection: Connection, sid: str, namespace: str) -> None:
        self.connection = connection
        self.sid = sid
        self.namespace = namespace
        self.held: list[tuple[Encoded, Hashable | None]] | None = []

    def send(self, message: Encoded, latest: Hashable | None = None) -> None:
        if self.held is None:
            self.connection.send(message, latest)
        else:
            self.held.append((message, latest))

    def release(self) -> None:
        """Send what was held back."""
        held, self.held = self.held or [], None
        for message, latest in held:
            self.connection.send(message, latest)


class Sockets:
    """All of one connection's sockets by namespace; `left` names those it has been in, `partial` awaits attachments."""

    __slots__ = ("by_namespace", "left", "partial", "timer")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.by_namespace: dict[str, Socket] = {}
        self.left: set[str] = set()
        self.partial: BinaryPacket | None = None
        self.timer = timer


class Leave:
    """Queued behind a client's events: the server has disconnected this socket."""

    __slots__ = ("socket",)

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
