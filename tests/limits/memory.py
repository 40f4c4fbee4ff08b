"""Attempts on memory: what is kept of requests, of events, of what nobody reads, and of the log."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app.observability.log_writer import LineWriter
from app.realtime.engine.queues import Inbox
from tests.harness.redis import RedisServer, until
from tests.harness.wire import UPGRADE
from tests.limits.attempts import Limited, exceeds, limited

__all__: list[str] = []

_REQUEST = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
_FIELDS = "".join(f"x-{number}: {'y' * 100}\r\n" for number in range(90))
_SOON = 20.0


@exceeds("Log lines that standard error does not take")
async def a_log_that_nobody_reads(redis: RedisServer) -> None:
    reader, writer = os.pipe()
    try:
        log = LineWriter(writer, lambda dropped: b"%d\n" % dropped)
        for _ in range(3 * 1024):
            log.put(b"x" * 1024)
        assert 1024 < log.dropped < 2048 + 64
        await asyncio.to_thread(os.read, reader, 4096)
    finally:
        os.close(reader)
        await asyncio.to_thread(log.flush)
        os.close(writer)


@exceeds("Kept of the request that opens a socket")
async def heads_of_sockets_that_stay(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        await _held(replica, "")
        plain = await _held(replica, "")
        assert await _held(replica, _FIELDS) - plain < 2048


@exceeds("Memory held by what waits for a slow client; one message that many wait for counts for each")
async def acks_that_nobody_reads(redis: RedisServer) -> None:
    settings = {"events_per_second": 1_000_000, "events_burst": 1_000_000}
    async with limited(redis, **settings) as replica, _websocket(replica) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            # An ack has a hundred bytes: these are far more than the bound and all buffers of the kernel.
            await _send_events(writer, 500_000)


@exceeds("Events received and not yet handled")
async def events_that_have_to_wait(redis: RedisServer) -> None:
    async with limited(redis, redis_timeout=1.5) as replica:
        made = await replica.api.create()
        async with _websocket(replica) as (_, writer):
            redis.pause()
            try:
                writer.write(_frame(f'420["join-session","{made.code}"]') + _frame('42["no-such-event"]') * 1_500)
                inboxes = [item for item in gc.get_objects() if isinstance(item, Inbox)]

                async def full() -> bool:
                    return any(inbox.full for inbox in inboxes)

                await until(full, "an inbox is full")
                assert max(len(inbox) for inbox in inboxes) <= 101
            finally:
                redis.resume()


async def _held(replica: Limited, fields: str) -> float:
    """Bytes held for each of some sockets that were opened with these fields."""
    gc.collect()
    tracemalloc.start()
    try:
        async with AsyncExitStack() as stack:
            for _ in range(20):
                await stack.enter_async_context(_websocket(replica, fields))
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / 20
    finally:
        tracemalloc.stop()


async def _send_events(writer: asyncio.StreamWriter, count: int) -> None:
    async with asyncio.timeout(_SOON):
        for _ in range(count // 1_000):
            writer.write(_frame('420["no-such-event"]') * 1_000)
            await writer.drain()


@asynccontextmanager
async def _websocket(
    replica: Limited, fields: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A Socket.IO connection whose frames are written by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.here.port)
    try:
        writer.write(f"{_REQUEST}{UPGRADE}{fields}\r\n".encode() + _frame("40"))
        await reader.readuntil(b'40{"sid"')
        yield reader, writer
    finally:
        writer.transport.abort()


def _frame(text: str) -> bytes:
    """A text frame of a WebSocket client, masked with zeros."""
    payload = text.encode()
    return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
