"""Clients that send as much as they can: what they can make of the server is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from app.socketio_server import UvicornWebSocketProtocol, WebSocketProtocol
from tests.harness.waiting import until

from .harness import SOCKET_BUFFER, Client, closed_at_once, receive, recorder

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


CONTINUATION, TEXT, PING, PONG = 0, 1, 9, 10


def frame(text: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    return bytes((fin << 7 | opcode, 0x80 | len(text))) + b"\0\0\0\0" + text


@asynccontextmanager
async def raw(client: Client) -> AsyncIterator[socket.socket]:
    """A WebSocket whose frames are written by hand, with small buffers; what answers the handshake has been read."""
    loop = asyncio.get_running_loop()
    host, port = client.address.split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        connection.setblocking(False)
        await loop.sock_connect(connection, (host, int(port)))
        await loop.sock_sendall(connection, UPGRADE)
        await loop.sock_recv(connection, 1000)
        yield connection


@asynccontextmanager
async def flood(client: Client, first: bytes, data: bytes) -> AsyncIterator[asyncio.Task[None]]:
    """Open a WebSocket, send `first`, then `data` as fast as it is taken; never read."""
    loop = asyncio.get_running_loop()
    async with raw(client) as connection:
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
        assert max(session.unhandled for session in record.server.connections()) <= 200
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


def protocols(kind: type[asyncio.Protocol] = WebSocketProtocol) -> list[Any]:
    return [peer for peer in gc.get_objects() if type(peer) is kind]


async def test_of_pings_whose_sender_does_not_read_the_last_is_answered() -> None:
    loop = asyncio.get_running_loop()
    async with recorder() as record, raw(record.client) as connection:
        await loop.sock_sendall(connection, frame(b"x" * 125, PING) * 16_000)
        await loop.sock_sendall(connection, frame(b"the last", PING) + frame(b"40"))
        await until(lambda: record.count("connect") == 1)
        assert max(peer.transport.get_write_buffer_size() for peer in protocols()) < 100_000
        received = b""
        async with asyncio.timeout(5):
            while bytes((0x80 | PONG, 8)) + b"the last" not in received:
                received = received[-20:] + await loop.sock_recv(connection, 65_536)


async def test_pings_behind_a_goodbye_are_not_answered() -> None:
    loop = asyncio.get_running_loop()
    async with recorder() as record, raw(record.client) as connection:
        await loop.sock_sendall(connection, frame(b"40"))
        await until(lambda: record.count("connect") == 1)
        await record.server.eio.disconnect()
        await until(lambda: record.count("disconnect") == 1)
        received = b""
        while b"\x88\x02" not in received:
            received += await loop.sock_recv(connection, 65_536)
        await loop.sock_sendall(connection, frame(b"x", PING) * 100)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await loop.sock_recv(connection, 1)


async def test_reading_pauses_whatever_came_with_the_last_event_that_has_room() -> None:
    loop, released = asyncio.get_running_loop(), asyncio.Event()

    async def wait(sid: str) -> None:
        await released.wait()

    async with recorder(max_queued=10) as record:
        record.server.on("wait", wait)
        async with raw(record.client) as connection:
            await loop.sock_sendall(connection, frame(b"40") + frame(b'42["wait"]') * 10)
            await until(lambda: record.count("connect") == 1)
            (session,) = record.server.connections()
            await until(lambda: session.unhandled == 9)
            # As many frames as are parsed in one turn of the event loop, the last of them an event.
            await loop.sock_sendall(connection, (frame(b"", PONG) * 255 + frame(b'42["wait"]')) * 20)
            await until(lambda: record.server.eio.heartbeats.is_held(session))
            for _ in range(100):
                await asyncio.sleep(0)
            assert session.unhandled == 10
            released.set()
        await until(lambda: not protocols())


async def test_what_comes_behind_the_end_of_a_websocket_is_not_kept() -> None:
    loop = asyncio.get_running_loop()
    async with recorder() as record, raw(record.client) as connection:
        await loop.sock_sendall(connection, frame(b"40"))
        await until(lambda: record.count("connect") == 1)
        # The answer is a close frame, which this client does not answer.
        await loop.sock_sendall(connection, frame(b"9"))
        await until(lambda: record.count("disconnect") == 1)
        data = frame(b"", PING) * 40_000
        tracemalloc.start()
        try:
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    while True:
                        await loop.sock_sendall(connection, data)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("kind", [WebSocketProtocol, UvicornWebSocketProtocol], ids=["direct", "asgi"])
async def test_a_client_that_does_not_read_cannot_delay_its_end(kind: type[asyncio.Protocol]) -> None:
    loop = asyncio.get_running_loop()
    async with (
        recorder(direct=kind is WebSocketProtocol, ping_interval=0.3, ping_timeout=0.2) as record,
        raw(record.client) as connection,
    ):
        await loop.sock_sendall(connection, frame(b"40"))
        await until(lambda: record.count("connect") == 1)
        (transport,) = (peer.transport for peer in protocols(kind))
        while not transport.get_write_buffer_size():
            await loop.sock_sendall(connection, frame(b"x" * 125, PING) * 10)
            await asyncio.sleep(0)
        connection.shutdown(socket.SHUT_WR)
        await until(lambda: record.count("disconnect") == 1)
        await until(lambda: not transport.get_write_buffer_size())


@pytest.mark.parametrize("fragment", [b"", b"x"])
async def test_a_message_has_a_bounded_number_of_fragments(fragment: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with recorder() as record, raw(record.client) as connection:
        await loop.sock_sendall(connection, frame(b"40", fin=False) + frame(b"", CONTINUATION, fin=False) * 1_022)
        await loop.sock_sendall(connection, frame(b"", CONTINUATION))
        await until(lambda: record.count("connect") == 1)
        received = await loop.sock_recv(connection, 65_536)
        await loop.sock_sendall(connection, frame(b"42", fin=False) + frame(fragment, CONTINUATION, fin=False) * 1_024)
        async with asyncio.timeout(2):
            while data := await loop.sock_recv(connection, 65_536):
                received += data
        assert received.endswith(b"\x88\x02" + (1009).to_bytes(2))


async def test_the_packets_of_a_payload_are_taken_out_of_it_one_by_one() -> None:
    payload = b"\x1e".join([b"3x"] * 87_000)
    async with recorder(events_per_second=100, burst=10, max_payload=262_144) as record:
        sid = await record.client.connect()
        tracemalloc.start()
        posting = asyncio.create_task(record.client.post(sid, payload))
        try:
            session = record.server.eio.sockets[sid]
            await until(lambda: session.posting and record.server.eio.heartbeats.is_held(session))
            assert tracemalloc.get_traced_memory()[0] < 2 * 2**20
        finally:
            tracemalloc.stop()
            posting.cancel()
            await asyncio.wait({posting})
