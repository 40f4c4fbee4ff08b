"""Socket.IO connections whose frames are written by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness.frames import client_frame
from tests.harness.ports import LOOPBACK
from tests.harness.wire import UPGRADE
from tests.limits.attempts import Limited

__all__ = ["websocket"]

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
        writer.write(f"{_REQUEST}{UPGRADE}{fields}\r\n".encode() + client_frame(b"40"))
        await reader.readuntil(b'40{"sid"')
        yield reader, writer
    finally:
        writer.transport.abort()
