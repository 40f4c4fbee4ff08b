"""Clients that send as much as they can: what they can make of the server is bounded."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app.realtime.engine import WebSocketProtocol

from .harness import SOCKET_BUFFER, Client, closed_at_once, receive, recorder, until

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text


@asynccontextmanager
async def flood(client: Client, first: bytes, data: bytes) -> AsyncIterator[asyncio.Task[None]]:
    """Open a WebSocket, send `first`, then `data` as fast as it is taken; never read."""
    loop = asyncio.get_running_loop()
    host, port = client.address.split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        connection.setblocking(False)
        await loop.sock_connect(connection, (host, int(port)))
        await loop.sock_sendall(connection, UPGRADE)
        await loop.sock_recv(connection, 1000)
        await loop.sock_sendall(connection, frame(first))
        sending = asyncio.create_task(loop.sock_sendall(connection, data))
        yield sending
        sending.cancel()
        await asyncio.wait({sending})


@pytest.mark.parametrize("text", [b'42["wait"]', b"3", b"431[]"], ids=["events", "pongs", "acks"])
async def test_a_flood_of_tiny_packets_is_not_taken_in_at_once(text: bytes) -> None:
    data = frame(text) * (2 * 2**20 // len(frame(text)))
    released = asyncio.Event()

    async def wait(sid: str) -> None:
        await released.wait()

    async with recorder(events_per_second=100, burst=200) as record, AsyncExitStack() as stack:
        record.server.on("wait", wait)
        floods = [await stack.enter_async_context(flood(record.client, b"40", data)) for _ in range(10)]
        await until(lambda: record.count("connect") == 10)
        # Others are served meanwhile.
        async with record.client.joined() as websocket:
            for number in range(50):
                await websocket.send(f'42{number}["hello"]')
                assert await receive(websocket) == f"43{number}[]"
        assert not any(sending.done() for sending in floods)
        waiting = [peer.queue.qsize() for peer in gc.get_objects() if type(peer) is WebSocketProtocol]
        assert max(waiting) < 1000
        released.set()


async def test_a_large_message_comes_through_in_pieces() -> None:
    text = "x" * 60_000
    async with recorder(max_payload=65_536) as record, record.client.joined() as websocket:
        for number in range(20):
            await websocket.send(f'42{number}["hello","{text}"]')
        for number in range(20):
            assert await receive(websocket) == f'43{number}["{text}"]'


async def test_a_message_over_the_limit_of_the_websocket_ends_it() -> None:
    async with recorder() as record, record.client.joined() as websocket:
        await websocket.send('42["hello","' + "x" * 1_000_000 + '"]')
        await closed_at_once(websocket)
        assert websocket.close_code == 1009
        await until(lambda: record.count("disconnect") == 1)
