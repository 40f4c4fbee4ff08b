"""Attempts with a great many things that are tiny: pings, fragments, packets."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc

import httpx

from app.compression import deflated
from app.socketio_server import UvicornWebSocketProtocol, WebSocketProtocol
from tests.harness.frames import (
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    EXTENSION,
    LAST,
    PING,
    TEXT,
    client_frame,
    frame_client,
)
from tests.harness.ports import LOOPBACK
from tests.harness.redis import RedisServer
from tests.harness.waiting import until
from tests.limits.attempts import exceeds, limited
from tests.limits.frames import websocket

__all__: list[str] = []


@exceeds("Bytes of pongs queued for a client that does not read")
async def pings_whose_answers_nobody_reads(redis: RedisServer) -> None:
    async with limited(redis) as replica, websocket(replica) as (_, writer):
        made = await replica.api.create()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        join = client_frame(f'42["join-session","{made.code}"]'.encode())
        writer.write(client_frame(b"x" * 125, PING) * 40_000 + join)

        async def joined() -> bool:
            return bool((await replica.api.read(made.code))["sessionData"]["participants"])

        await until(joined, "all pings have been read")
        kinds = (WebSocketProtocol, UvicornWebSocketProtocol)
        protocols = [item for item in gc.get_objects() if type(item) in kinds]
        assert max(protocol.transport.get_write_buffer_size() for protocol in protocols) < 100_000


@exceeds("Bytes of a compressed message when it is decompressed")
async def a_message_that_becomes_huge(redis: RedisServer) -> None:
    async with limited(redis, direct_websockets=True, compression=True) as replica:
        address, target = f"{LOOPBACK}:{replica.here.port}", "/socket.io/?EIO=4&transport=websocket"
        async with frame_client(address, target, EXTENSION) as client:
            await client.send(b"40")
            # The OPEN packet and the CONNECT answer.
            assert [(await client.frame()).first for _ in range(2)] == [LAST | TEXT] * 2
            largest, bomb = (deflated(b'420["x","' + b"x" * (size - 11) + b'"]') for size in (262_144, 10 * 2**20))
            await client.send(largest, COMPRESSED | TEXT)
            assert (await client.frame()).payload.startswith(b"430[")
            tracemalloc.start()
            try:
                await client.send(bomb, COMPRESSED | TEXT)
                assert await client.frame() == (LAST | CLOSE, (1009).to_bytes(2))
                assert tracemalloc.get_traced_memory()[1] < 2**20
            finally:
                tracemalloc.stop()


@exceeds("Fragments of a message")
async def a_message_of_empty_fragments(redis: RedisServer) -> None:
    async with limited(redis) as replica, websocket(replica) as (reader, writer):
        empty = client_frame(b"", CONTINUATION, fin=False)
        whole = client_frame(b'420["no-such-event"]', fin=False) + empty * 1_022 + client_frame(b"", CONTINUATION)
        writer.write(whole)
        await reader.readuntil(b"430[")
        writer.write(client_frame(b"42", fin=False) + empty * 1_024)
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(b"\x88\x02" + (1009).to_bytes(2))


@exceeds("Packets of a polling payload parsed at a time")
async def a_payload_of_tiny_packets(redis: RedisServer) -> None:
    settings = {"events_per_second": 1, "events_burst": 10}
    async with limited(redis, **settings) as replica, httpx.AsyncClient(base_url=replica.here.url) as client:
        opened = await client.get("/socket.io/?EIO=4&transport=polling")
        path = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened.text[1:])['sid']}"
        assert (await client.post(path, content="40")).text == "ok"
        payload = b"\x1e".join([b"3x"] * 87_000)
        tracemalloc.start()
        try:
            posting = asyncio.create_task(client.post(path, content=payload))
            await asyncio.wait({posting}, timeout=0.5)
            assert not posting.done()
            assert tracemalloc.get_traced_memory()[0] < 2 * 2**20
            posting.cancel()
            await asyncio.wait({posting})
        finally:
            tracemalloc.stop()
