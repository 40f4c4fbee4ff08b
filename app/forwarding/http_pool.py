"""One request to another replica's internal port: dialled, asked, answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

import httptools
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["ConnectionPool", "Exchange", "Headers", "Response", "open_websocket"]

Headers = Iterable[tuple[bytes, bytes]]

# Replicas are near each other: one that does not take a connection by then is gone.
_CONNECT_TIMEOUT_SECONDS: Final = 1.0
_UPGRADE_TIMEOUT_SECONDS: Final = 10.0
_CLOSE_TIMEOUT_SECONDS: Final = 1.0
# Far less than the time after which the other side closes an idle connection, perhaps while a request is on its way.
_MAX_IDLE_SECONDS: Final = 15.0
_READ_BYTES: Final = 65_536
# Statuses below it are of answers that another one follows.
_FINAL: Final = 200
# Messages that may wait between owner and client, so that the owner notices a client that does not read.
_MAX_WAITING_MESSAGES: Final = 4


class Response:
    """An HTTP response, as a parser of httptools tells it; ``keeps_alive``: the connection takes another request.

    ``on_continue`` is called where the other side asks for the request's body.
    """

    def __init__(self, on_continue: Callable[[], None]) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keeps_alive = False
        self._on_continue = on_continue
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Takes what was read; raises ``httptools.HttpParserError`` for what is not HTTP."""
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.status < _FINAL:
            self.headers.clear()
            self._on_continue()
            return
        self.complete = True
        self.keeps_alive = self._parser.should_keep_alive()


class ConnectionPool:
    """HTTP connections to other replicas, kept for a while for the next request to the same one."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, deque[_PooledConnection]] = defaultdict(deque)

    @property
    def idle_count(self) -> int:
        """How many wait for a request."""
        return sum(map(len, self._idle.values()))

    @contextlib.asynccontextmanager
    async def exchange(
        self, address: str, method: str, target: bytes, headers: Headers, *, has_body: bool
    ) -> AsyncIterator[Exchange]:
        """A request whose head has been sent; nothing is sent twice.

        Raises ``OSError`` where nobody answers, as the exchange does.
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
    """A connection. One that the other side has ended ends itself: asyncio's streams leave it open for writing."""

    writer: asyncio.StreamWriter

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=_READ_BYTES)
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


class Exchange:
    """One request and its answer on a connection; the body is sent once the other side has asked for it.

    RFC 9110, section 10.1.1: with ``Expect: 100-continue`` the other side either asks, or answers right away.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_body: bool) -> None:
        self.wanted = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._response = Response(self.wanted.set)
        self._unsent = has_body

    @property
    def is_done(self) -> bool:
        """Whether all was sent and read, and the connection takes another request."""
        return self._response.keeps_alive and not self._unsent

    def begin(self, method: str, target: bytes, headers: Headers) -> None:
        fields = [*headers]
        if not any(name == b"host" for name, _ in fields):
            # A client that speaks HTTP/1.0 need not name one, and this is HTTP/1.1.
            fields.append((b"host", b""))
        if self._unsent:
            fields += [(b"expect", b"100-continue"), (b"transfer-encoding", b"chunked")]
        else:
            self.wanted.set()
        head = [b"%s %s HTTP/1.1\r\n" % (method.encode(), target), *(b"%s: %s\r\n" % field for field in fields)]
        self._writer.write(b"".join([*head, b"\r\n"]))

    async def send(self, data: bytes, *, more: bool) -> None:
        """Sends a part of the body, if the request has one, and waits while the other side does not take it."""
        if not self._unsent:
            return
        # An empty chunk would be the last one.
        chunk = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        self._writer.write(chunk if more else chunk + b"0\r\n\r\n")
        self._unsent = more
        await self._writer.drain()

    async def response(self) -> Response:
        """The answer, however long that takes; raises ``httptools.HttpParserError`` for what is not HTTP."""
        while not self._response.complete:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionResetError("no complete answer")
            self._response.feed(data)
        return self._response


async def _open(address: str) -> _PooledConnection:
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(_PooledConnection, sock=await _dial(address))
    connection.writer = asyncio.StreamWriter(transport, connection, connection.reader, loop)
    return connection


async def open_websocket(address: str, target: str, headers: Headers) -> ClientConnection:
    """Opens a WebSocket; raises ``OSError`` or ``websockets.WebSocketException`` where that does not succeed."""
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
