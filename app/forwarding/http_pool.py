"""HTTP connections to the internal ports of other replicas."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from app.http_client import READ_BYTES, Exchange, Headers

__all__ = ["ConnectionPool", "open_websocket"]

# Replicas are in one network: a replica that takes longer to accept a connection is gone.
_CONNECT_TIMEOUT_SECONDS: Final = 1.0
_UPGRADE_TIMEOUT_SECONDS: Final = 10.0
_CLOSE_TIMEOUT_SECONDS: Final = 1.0
# Far below the keep-alive time-out of the server, which might otherwise close the connection during a request.
_MAX_IDLE_SECONDS: Final = 15.0
# Messages buffered between owner and client. Few, so that the owner notices a client that does not read.
_MAX_WAITING_MESSAGES: Final = 4


class ConnectionPool:
    """HTTP connections to other replicas; idle ones are reused for some seconds."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, deque[_PooledConnection]] = defaultdict(deque)

    @property
    def idle_count(self) -> int:
        """The number of idle connections."""
        return sum(map(len, self._idle.values()))

    @contextlib.asynccontextmanager
    async def exchange(
        self, address: str, method: str, target: bytes, headers: Headers, *, has_body: bool
    ) -> AsyncIterator[Exchange]:
        """Send the head of a request and yield the exchange. Nothing is ever sent twice.

        Raises ``OSError`` if the replica cannot be reached; so does the exchange.
        """
        connection = self._kept(address) or await _open(address)
        exchange = Exchange(connection.reader, connection.writer, has_body=has_body)
        try:
            exchange.begin(method, target, headers)
            yield exchange
        finally:
            if exchange.is_done and not connection.writer.is_closing():
                self._keep(address, connection)
            else:
                connection.writer.close()

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.on_lost = None
                connection.writer.close()
        self._idle.clear()

    def _keep(self, address: str, connection: _PooledConnection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        connection.on_lost = partial(self._forget, address, connection)
        self._idle[address].append(connection)

    def _kept(self, address: str) -> _PooledConnection | None:
        if address not in self._idle:
            return None
        connections = self._idle[address]
        newest = connections[-1]
        oldest = asyncio.get_running_loop().time() - _MAX_IDLE_SECONDS
        for connection in [
            connection for connection in connections if connection is newest or connection.idle_since < oldest
        ]:
            self._forget(address, connection)
            if connection.idle_since < oldest:
                connection.writer.close()
        return None if newest.writer.is_closing() else newest

    def _forget(self, address: str, connection: _PooledConnection) -> None:
        connection.on_lost = None
        self._idle[address].remove(connection)
        if not self._idle[address]:
            del self._idle[address]


class _PooledConnection(asyncio.StreamReaderProtocol):
    """A pooled connection.

    It closes when the server closes its end. asyncio's streams would leave it open for writing.
    """

    writer: asyncio.StreamWriter

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=READ_BYTES)
        self.idle_since = 0.0
        self.on_lost: Callable[[], None] | None = None
        super().__init__(self.reader)

    def eof_received(self) -> bool:
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()


async def _open(address: str) -> _PooledConnection:
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(_PooledConnection, sock=await _dial(address))
    connection.writer = asyncio.StreamWriter(transport, connection, connection.reader, loop)
    return connection


async def open_websocket(address: str, target: str, headers: Headers) -> ClientConnection:
    """Open a WebSocket; raises ``OSError`` or ``websockets.WebSocketException`` if that fails."""
    return await connect(
        f"ws://{address}{target}",
        additional_headers=[(name.decode(), value.decode("latin-1")) for name, value in headers],
        sock=await _dial(address),
        compression=None,
        user_agent_header=None,
        proxy=None,
        open_timeout=_UPGRADE_TIMEOUT_SECONDS,
        close_timeout=_CLOSE_TIMEOUT_SECONDS,
        ping_interval=None,
        max_size=None,
        max_queue=_MAX_WAITING_MESSAGES,
    )


async def _dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
        family, kind, protocol, _, target = (
            await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        )[0]
        dialled = socket.socket(family, kind, protocol)
        try:
            dialled.setblocking(False)
            await loop.sock_connect(dialled, target)
        except BaseException:
            dialled.close()
            raise
        return dialled
