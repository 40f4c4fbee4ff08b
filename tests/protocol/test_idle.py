"""What an idle connection keeps."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from contextlib import ExitStack

import pytest

from .harness import Client, recorder

CONNECTIONS = 20
# As large a head as the listener takes.
HEADERS = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 100) for number in range(90))
UPGRADE = b"Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_an_idle_connection_keeps_nothing_of_its_requests_headers(transport: str) -> None:
    async with recorder() as record:
        await opened(record.client, transport, b"")
        plain = await opened(record.client, transport, b"")
        assert await opened(record.client, transport, HEADERS) - plain < 2048


async def opened(client: Client, transport: str, headers: bytes) -> float:
    """Bytes that the server holds for each of the connections opened with these headers, while they are open."""
    loop = asyncio.get_running_loop()
    host, port = client.address.split(":")
    websocket = transport == "websocket"
    connection = b"Upgrade" if websocket else b"close"
    head = b"GET /socket.io/?EIO=4&transport=%s HTTP/1.1\r\nHost: x\r\n" % transport.encode()
    head += b"Connection: %s\r\n%s%s\r\n" % (connection, UPGRADE if websocket else b"", headers)
    gc.collect()
    tracemalloc.start()
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            peer = stack.enter_context(socket.socket())
            peer.setblocking(False)
            await loop.sock_connect(peer, (host, int(port)))
            await loop.sock_sendall(peer, head)
            answer = b""
            while b'"maxPayload"' not in answer:
                answer += await loop.sock_recv(peer, 1000)
        await client.request("GET", "EIO=4")
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / CONNECTIONS
