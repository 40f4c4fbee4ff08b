"""One request to another replica's internal port: dialled, asked, answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

import httptools
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Answer", "Headers", "exchange", "open_websocket"]

Headers = Iterable[tuple[bytes, bytes]]

# Replicas are near each other: one that does not take a connection by then is gone.
_CONNECT_TIMEOUT: Final = 1.0
_UPGRADE_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 1.0
_READ_SIZE: Final = 65_536
# Messages that may wait between owner and client, so that the owner notices a client that does not read.
_WAITING_MESSAGES: Final = 4


class Answer:
    """An HTTP response, as a parser of httptools tells it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
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


async def exchange(address: str, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
    """Sends one HTTP request and reads the answer, however long that takes.

    Raises ``OSError`` where nobody answers, ``httptools.HttpParserError`` for what is not HTTP.
    """
    reader, writer = await asyncio.open_connection(sock=await _dial(address), limit=_READ_SIZE)
    try:
        fields = [*headers, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        head = [b"%s %s HTTP/1.1\r\n" % (method.encode(), target), *(b"%s: %s\r\n" % field for field in fields)]
        writer.write(b"".join([*head, b"\r\n", body]))
        answer = Answer()
        while not answer.complete:
            data = await reader.read(_READ_SIZE)
            if not data:
                raise ConnectionResetError("no complete answer")
            answer.feed(data)
        return answer
    finally:
        writer.close()


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
