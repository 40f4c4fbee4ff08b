"""Shared state of the connections of one port: their number, and the unread responses."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from uvicorn.server import ServerState

from app.http.addresses import AddressCap, subscriber
from app.http.lane import JoinLane
from app.observability.logging import Throttle

__all__ = ["PortLimits", "PortState", "TakeOver", "drop"]

# Connections beyond the limit that are accepted for the paths in ``served_when_full``.
_RESERVE: Final = 64
# One address may have this fraction of the unread data: a quarter.
_SHARE: Final = 4

# SO_LINGER with 0 seconds: discard unsent data on close.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

_log = Throttle(logging.getLogger(__name__))


@dataclass(frozen=True, kw_only=True)
class PortLimits:
    """The limits of a port. Times are in seconds, sizes in bytes.

    websocket_path: the path of WebSockets
    served_when_full: paths that are served even if the port has the maximum number of connections
    max_connections, max_connections_per_address: TCP connections; addresses for which ``exempt`` returns true have
        neither the limit per address nor their own share of ``max_unread``
    write_timeout: the time for a client to read a response
    max_unread: the memory of responses that clients have not read
    """

    websocket_path: str
    served_when_full: Collection[str] = ()
    max_connections: int
    max_connections_per_address: int
    exempt: Callable[[str], bool]
    write_timeout: float
    max_unread: int


class Waiting(Protocol):
    """A connection with a response that its client has not read."""

    transport: asyncio.Transport
    address: str


class Successor(Protocol):
    """The protocol that takes over a connection whose request asks for a WebSocket."""

    def take_over(
        self,
        transport: asyncio.Transport,
        key: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        data: bytes,
        on_lost: Callable[[], None],
    ) -> None: ...
    def shutdown(self) -> None: ...


# Called with the ASGI scope of a WebSocket handshake; returns bytes to refuse it with, None to leave it to ASGI.
TakeOver = Callable[[dict[str, object]], Successor | bytes | None]


class PortState(ServerState):
    """The connections of a port. ``take_over`` returns the protocol for a WebSocket; ``lane`` answers joins."""

    def __init__(self, limits: PortLimits, take_over: TakeOver | None = None, lane: JoinLane | None = None) -> None:
        super().__init__()
        self.limits = limits
        self.take_over = take_over
        self.lane = lane
        self._addresses = AddressCap(limits.max_connections_per_address, limits.exempt)
        # In the order in which they started to wait.
        self._unread: dict[Waiting, int] = {}
        self._unread_of: Counter[str] = Counter()
        self._unread_bytes = 0

    def is_full(self) -> bool:
        """Whether the newest connection exceeds the limit."""
        if len(self.connections) <= self.limits.max_connections:
            return False
        _log.warning("connections are refused: there are too many")
        return True

    def has_reserve(self) -> bool:
        """Whether that connection may still send requests to ``served_when_full``."""
        return bool(self.limits.served_when_full) and len(self.connections) <= self.limits.max_connections + _RESERVE

    def enter(self, address: str) -> bool:
        """Count a connection of an address; return False if it has the maximum number."""
        if self._addresses.enter(address):
            return True
        _log.warning("connections are refused: an address has too many", peer=address)
        return False

    def leave(self, address: str) -> None:
        """Uncount a connection."""
        self._addresses.leave(address)

    def succeed(self, successor: Successor, address: str) -> Callable[[], None]:
        """Count the connection for its successor; return a function to call at its end."""
        self.connections.add(successor)  # type: ignore[arg-type]

        def forget() -> None:
            self.connections.discard(successor)
            self.leave(address)

        return forget

    def wait(self, connection: Waiting) -> None:
        """Note that a client does not read; abort those that have waited longest if memory is short."""
        size = connection.transport.get_write_buffer_size()
        key = subscriber(connection.address)
        self._unread[connection] = size
        self._unread_of[key] += size
        self._unread_bytes += size
        if not self.limits.exempt(connection.address):
            while self._unread_of[key] > self.limits.max_unread // _SHARE and self._cut(connection, key):
                pass
        while self._unread_bytes > self.limits.max_unread and self._cut(connection):
            pass

    def read(self, connection: Waiting) -> None:
        """Note that a client has read everything, or is gone."""
        size = self._unread.pop(connection, None)
        if size is None:
            return
        key = subscriber(connection.address)
        self._unread_bytes -= size
        self._unread_of[key] -= size
        if not self._unread_of[key]:
            del self._unread_of[key]

    def _cut(self, newest: Waiting, key: str | None = None) -> bool:
        """Abort the connection that has waited longest, except ``newest``; return whether there was one."""
        for connection in self._unread:
            if connection is not newest and key in (None, subscriber(connection.address)):
                _log.warning("a slow client was dropped: too much waits", peer=connection.address)
                self.read(connection)
                drop(connection.transport)
                return True
        return False


def drop(transport: asyncio.Transport) -> None:
    """Abort a connection and discard its data, which the kernel would otherwise keep for long."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
