"""One request to another replica's internal port: dialled, asked, answered."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import httptools
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Answer", "Headers", "Lanes", "open_websocket"]

Headers = Iterable[tuple[bytes, bytes]]

# Replicas are near each other: one that does not take a connection by then is gone.
_CONNECT_TIMEOUT: Final = 1.0
_UPGRADE_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 1.0
# Far less than the time after which the other side closes an idle connection, perhaps while a request is on its way.
_LONGEST_IDLE: Final = 15.0
_READ_SIZE: Final = 65_536
# Messages that may wait between owner and client, so that the owner notices a client that does not read.
_WAITING_MESSAGES: Final = 4


class Answer:
    """An HTTP response, as a parser of httptools tells it; ``keeps_alive``: the connection takes another request."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keeps_alive = False
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
        self.complete = True
        self.keeps_alive = self._parser.should_keep_alive()


class Lanes:
    """HTTP connections to other replicas, kept for a while for the next request to the same one."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, deque[_Lane]] = defaultdict(deque)

    async def exchange(self, address: str, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
        """Sends a request and reads the answer, however long that takes; nothing is sent twice.

        Raises ``OSError`` where nobody answers, ``httptools.HttpParserError`` for what is not HTTP.
        """
        lane = self._kept(address) or await _open(address)
        kept = False
        try:
            answer = await lane.exchange(method, target, headers, body)
            kept = answer.keeps_alive
        finally:
            if kept:
                lane.idle_since = asyncio.get_running_loop().time()
                self._idle[address].append(lane)
            else:
                lane.writer.close()
        return answer

    def close(self) -> None:
        for lanes in self._idle.values():
            for lane in lanes:
                lane.writer.close()
        self._idle.clear()

    def _kept(self, address: str) -> _Lane | None:
        lanes = self._idle[address]
        oldest = asyncio.get_running_loop().time() - _LONGEST_IDLE
        while lanes and lanes[0].idle_since < oldest:
            lanes.popleft().writer.close()
        while lanes:
            lane = lanes.pop()
            if not lane.reader.at_eof() and not lane.writer.is_closing():
                return lane
        return None


@dataclass(slots=True)
class _Lane:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since: float = 0.0

    async def exchange(self, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
        fields = [*headers, (b"content-length", b"%d" % len(body))]
        head = [b"%s %s HTTP/1.1\r\n" % (method.encode(), target), *(b"%s: %s\r\n" % field for field in fields)]
        self.writer.write(b"".join([*head, b"\r\n", body]))
        answer = Answer()
        while not answer.complete:
            data = await self.reader.read(_READ_SIZE)
            if not data:
                raise ConnectionResetError("no complete answer")
            answer.feed(data)
        return answer


async def _open(address: str) -> _Lane:
    return _Lane(*await asyncio.open_connection(sock=await _dial(address), limit=_READ_SIZE))


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
