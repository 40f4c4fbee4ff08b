"""The state of a client in the Socket.IO layer."""

from __future__ import annotations

from collections.abc import Hashable

from app.socketio_server.connection import Connection
from app.socketio_server.endings import TRANSPORT_ERROR
from app.socketio_server.frames import Outgoing
from app.socketio_server.packets import BinaryPacket
from app.socketio_server.queues import Outbox

__all__ = ["Leave", "Socket", "Sockets"]


class Socket:
    """A client in one namespace. Messages sent to it before its CONNECT is answered are kept in ``held``."""

    __slots__ = ("connection", "held", "namespace", "sid")

    def __init__(self, connection: Connection, sid: str, namespace: str) -> None:
        self.connection = connection
        self.sid = sid
        self.namespace = namespace
        self.held: Outbox | None = Outbox()

    def send(self, message: Outgoing, latest: Hashable | None = None) -> None:
        if self.held is None:
            self.connection.send(message, latest)
        else:
            self.held.put(message, latest)
            if self.held.size > self.connection.options.max_backlog:
                self.connection.close(TRANSPORT_ERROR, drop=True)

    def release(self) -> None:
        """Send the held messages."""
        held, self.held = self.held, None
        for message in held.take() if held is not None else ():
            self.connection.send(message)


class Sockets:
    """The sockets of one connection, by namespace.

    ``left``: namespaces that it was in. ``partial``: a packet that awaits attachments.
    """

    __slots__ = ("by_namespace", "left", "partial")

    def __init__(self) -> None:
        self.by_namespace: dict[str, Socket] = {}
        self.left: set[str] = set()
        self.partial: BinaryPacket | None = None


class Leave:
    """A queued item: the server has disconnected this socket."""

    __slots__ = ("socket",)

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
