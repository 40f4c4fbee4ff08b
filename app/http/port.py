"""What the connections of one port share: how many there may be, and how much may wait for those who do not read."""

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

# Connections that a full port takes all the same, for the paths that it serves always.
_RESERVE: Final = 64
# The part of what may wait that one address may have.
_SHARE: Final = 4

# No waiting for what has not been read.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

_log = Throttle(logging.getLogger(__name__))


@dataclass(frozen=True, kw_only=True)
class PortLimits:
    """What a port takes. Times in seconds, sizes in bytes.

    websocket_path: where it has WebSockets
    served_when_full: paths that answer although the port has all the connections that it may have
    max_connections, max_connections_per_address: TCP connections; ``exempt`` tells which addresses the latter, and the
        part of ``max_unread`` that an address has, do not hold for
    write_timeout: how long an answer waits for a client that does not read it
    max_unread: how much of such answers is kept
    """

    websocket_path: str
    served_when_full: Collection[str] = ()
    max_connections: int
    max_connections_per_address: int
    exempt: Callable[[str], bool]
    write_timeout: float
    max_unread: int


class Waiting(Protocol):
    """A connection with an answer that its client has not read."""

    transport: asyncio.Transport
    address: str


class Successor(Protocol):
    """What takes over a connection whose request asks for a WebSocket."""

    def take_over(
        self,
        transport: asyncio.Transport,
        key: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        data: bytes,
        on_lost: Callable[[], None],
    ) -> None: ...
    def shutdown(self) -> None: ...


# Of the ASGI scope of a WebSocket's handshake; None leaves it to the ASGI application.
TakeOver = Callable[[dict[str, object]], Successor | None]


class PortState(ServerState):
    """The connections of one port; ``take_over`` decides what a WebSocket is served by, ``lane`` answers joins."""

    def __init__(self, limits: PortLimits, take_over: TakeOver | None = None, lane: JoinLane | None = None) -> None:
        super().__init__()
        self.limits = limits
        self.take_over = take_over
        self.lane = lane
        self._addresses = AddressCap(limits.max_connections_per_address, limits.exempt)
        # In the order in which they began to wait.
        self._unread: dict[Waiting, int] = {}
        self._unread_of: Counter[str] = Counter()
        self._unread_bytes = 0

    def is_full(self) -> bool:
        """Whether the connection that was made last is one too many."""
        if len(self.connections) <= self.limits.max_connections:
            return False
        _log.warning("connections are refused: there are too many")
        return True

    def has_reserve(self) -> bool:
        """Whether it may ask all the same for what is served always."""
        return bool(self.limits.served_when_full) and len(self.connections) <= self.limits.max_connections + _RESERVE

    def enter(self, address: str) -> bool:
        """Counts a connection of an address, unless that has as many as it may."""
        if self._addresses.enter(address):
            return True
        _log.warning("connections are refused: an address has too many", peer=address)
        return False

    def leave(self, address: str) -> None:
        """Forgets one that was counted."""
        self._addresses.leave(address)

    def succeed(self, successor: Successor, address: str) -> Callable[[], None]:
        """Counts the connection of an address as its successor's; returns what is to be called at its end."""
        self.connections.add(successor)  # type: ignore[arg-type]

        def forget() -> None:
            self.connections.discard(successor)
            self.leave(address)

        return forget

    def wait(self, connection: Waiting) -> None:
        """Notes that a client does not read; those that have waited longest make room."""
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
        """Notes that a client has read everything, or is gone."""
        size = self._unread.pop(connection, None)
        if size is None:
            return
        key = subscriber(connection.address)
        self._unread_bytes -= size
        self._unread_of[key] -= size
        if not self._unread_of[key]:
            del self._unread_of[key]

    def _cut(self, newest: Waiting, key: str | None = None) -> bool:
        """Drops the connection that has waited longest, ``newest`` excepted; returns whether there was one."""
        for connection in self._unread:
            if connection is not newest and key in (None, subscriber(connection.address)):
                _log.warning("a slow client was dropped: too much waits", peer=connection.address)
                self.read(connection)
                drop(connection.transport)
                return True
        return False


def drop(transport: asyncio.Transport) -> None:
    """Ends a connection at once, with all that waits for its client; what the kernel has it would keep for long."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
