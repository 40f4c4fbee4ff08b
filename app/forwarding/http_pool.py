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

__all__ = ["Answer", "Exchange", "Headers", "Lanes", "open_websocket"]

Headers = Iterable[tuple[bytes, bytes]]

# Replicas are near each other: one that does not take a connection by then is gone.
_CONNECT_TIMEOUT: Final = 1.0
_UPGRADE_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 1.0
# Far less than the time after which the other side closes an idle connection, perhaps while a request is on its way.
_LONGEST_IDLE: Final = 15.0
_READ_SIZE: Final = 65_536
# Statuses below it are of answers that another one follows.
_FINAL: Final = 200
# Messages that may wait between owner and client, so that the owner notices a client that does not read.
_WAITING_MESSAGES: Final = 4


class Answer:
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


class Lanes:
    """HTTP connections to other replicas, kept for a while for the next request to the same one."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, deque[_Lane]] = defaultdict(deque)

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
        lane = self._kept(address) or await _open(address)
        exchange = Exchange(lane.reader, lane.writer, has_body=has_body)
        try:
            exchange.begin(method, target, headers)
            yield exchange
        finally:
            if exchange.is_done and not lane.writer.is_closing():
                self._keep(address, lane)
            else:
                lane.writer.close()

    def close(self) -> None:
        for lanes in self._idle.values():
            for lane in lanes:
                lane.on_lost = None
                lane.writer.close()
        self._idle.clear()

    def _keep(self, address: str, lane: _Lane) -> None:
        lane.idle_since = asyncio.get_running_loop().time()
        lane.on_lost = partial(self._forget, address, lane)
        self._idle[address].append(lane)

    def _kept(self, address: str) -> _Lane | None:
        if address not in self._idle:
            return None
        lanes = self._idle[address]
        newest = lanes[-1]
        oldest = asyncio.get_running_loop().time() - _LONGEST_IDLE
        for lane in [lane for lane in lanes if lane is newest or lane.idle_since < oldest]:
            self._forget(address, lane)
            if lane.idle_since < oldest:
                lane.writer.close()
        return None if newest.writer.is_closing() else newest

    def _forget(self, address: str, lane: _Lane) -> None:
        lane.on_lost = None
        self._idle[address].remove(lane)
        if not self._idle[address]:
            del self._idle[address]


class _Lane(asyncio.StreamReaderProtocol):
    """A connection. One that the other side has ended ends itself: asyncio's streams leave it open for writing."""

    writer: asyncio.StreamWriter

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=_READ_SIZE)
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
    """One request and its answer on a lane; the body is sent once the other side has asked for it.

    RFC 9110, section 10.1.1: with ``Expect: 100-continue`` the other side either asks, or answers right away.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_body: bool) -> None:
        self.wanted = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._answer = Answer(self.wanted.set)
        self._unsent = has_body

    @property
    def is_done(self) -> bool:
        """Whether all was sent and read, and the connection takes another request."""
        return self._answer.keeps_alive and not self._unsent

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

    async def answer(self) -> Answer:
        """The answer, however long that takes; raises ``httptools.HttpParserError`` for what is not HTTP."""
        while not self._answer.complete:
            data = await self._reader.read(_READ_SIZE)
            if not data:
                raise ConnectionResetError("no complete answer")
            self._answer.feed(data)
        return self._answer


async def _open(address: str) -> _Lane:
    loop = asyncio.get_running_loop()
    transport, lane = await loop.create_connection(_Lane, sock=await _dial(address))
    lane.writer = asyncio.StreamWriter(transport, lane, lane.reader, loop)
    return lane


async def open_websocket(address: str, target: str, headers: Headers) -> ClientConnection:
    """Opens a WebSocket; raises ``OSError`` or ``websockets.WebSocketException`` where that does not succeed."""
    return await connect(
        f"ws://{address}{target}",
        additional_headers=[(name.decode(), value.decode("latin-1")) for name, value in headers],
        sock=await _dial(address),
        compression=None,
        user_agent_header=None,
        proxy=None,
        open_timeout=_UPGRADE_TIMEOUT,
        close_timeout=_CLOSE_TIMEOUT,
        ping_interval=None,
        max_size=None,
        max_queue=_WAITING_MESSAGES,
    )


async def _dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_TIMEOUT):
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
