"""Socket.IO connections whose frames are written by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness.ports import LOOPBACK
from tests.harness.wire import UPGRADE
from tests.limits.attempts import Limited

__all__ = ["CONTINUATION", "PING", "TEXT", "frame", "websocket"]

CONTINUATION, TEXT, PING = 0, 1, 9

_REQUEST = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def websocket(
    replica: Limited, fields: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A Socket.IO connection whose frames are written by hand; its kernel takes little for whoever does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (LOOPBACK, replica.here.port))
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(f"{_REQUEST}{UPGRADE}{fields}\r\n".encode() + frame("40"))
        await reader.readuntil(b'40{"sid"')
        yield reader, writer
    finally:
        writer.transport.abort()


def frame(text: str, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A frame of a WebSocket client, masked with zeros."""
    payload = text.encode()
    return bytes((fin << 7 | opcode, 0x80 | len(payload))) + bytes(4) + payload
