"""Attempts on memory: what is kept of requests, of events, of what nobody reads, and of the log."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from app.http.port import PortState
from app.observability.log_writer import LineWriter
from app.observability.metrics import Metrics
from app.realtime.subscriptions import Subscriptions
from app.realtime.updates import Updates
from app.redis_client.client import RedisClient
from app.sessions.head import Head
from app.sessions.model import MovieEntry, Movies, Snapshot
from app.sessions.rating import Tally
from app.socketio_server.queues import Inbox
from app.store.announcements import Announcements
from app.store.replicas import RedisReplicas
from app.store.session_hash import StoredSession
from app.store.snapshots import EncodedSessions, Snapshots
from tests.harness.frames import client_frame
from tests.harness.histories import EMPTY
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until
from tests.harness.wire import wire
from tests.limits.attempts import Limited, exceeds, limited
from tests.limits.frames import websocket

__all__: list[str] = []

_FIELDS = "".join(f"x-{number}: {'y' * 100}\r\n" for number in range(90))
_SOON = 20.0


@exceeds("Bytes of log lines that standard error does not accept")
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


@exceeds("Cache of large sessions")
async def many_large_sessions_that_are_read(redis: RedisServer) -> None:
    snapshots = Snapshots(lambda: 0.0)
    for number in range(100):
        snapshots.put(str(number), Snapshot("i", Head("e", 1), EMPTY.meta, b"x" * 250_000))
    kept = [number for number in range(100) if snapshots.get(str(number))]
    assert kept == list(range(100 - 16 * 2**20 // 250_000, 100))


@exceeds("Cache of small sessions")
async def many_small_sessions_that_are_read(redis: RedisServer) -> None:
    encoded, snapshot = EncodedSessions(), Snapshot("i", Head("e", 1), EMPTY.meta, b"x" * 6 * 2**10)
    stored = [StoredSession(str(number), {b"version": b"1"}, 1, Head("e", 1)) for number in range(1000)]
    for one in stored:
        encoded.put(one, snapshot)
    kept = [one for one in stored if encoded.get(one)]
    assert kept == stored[-(16 * 2**20 // (20 * 2**10)) :]


@exceeds("Earlier states from which patches are made")
async def many_states_of_a_large_session(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        updates = Updates(replica.here.replica.sockets.server, lambda: 0)
        movies = [MovieEntry(f"m{number}", number, 0, None, {"title": "x" * 100}, Tally()) for number in range(1000)]
        entries = {movie.id: movie for movie in movies}

        # Somebody holds each of them.
        written = {Head("e", version) for version in range(100)}

        def show(version: int) -> int:
            entries["m1"] = entries["m1"].counted(Tally(version))
            updates.show(replace(EMPTY, head=Head("e", version), movies=Movies(entries)), written)
            return updates.whole().size

        size = show(1)
        tracemalloc.start()
        try:
            for version in range(2, 100):
                show(version)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Besides the newest state, of which the JSON is kept in pieces, joined and as a message.
        assert kept < 2**20 + 5 * size


@exceeds("Sessions mirrored from Redis")
async def one_socket_that_joins_many_sessions(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = [await replica.api.create() for _ in range(20)]
        socket = await Socket.open(replica.here.url)
        for each in made:
            assert (await socket.emit("join-session", each.code))["ok"]
        sessions = replica.here.replica.redis.sessions
        assert [each.code for each in made if sessions.mirrored(each.code)] == [made[-1].code]
        assert (await socket.emit("leave-session"))["ok"]
        assert sessions.mirrored(made[-1].code) is None
        await socket.close()


@exceeds("Sessions without members that stay subscribed")
async def many_sessions_that_are_left(redis: RedisServer) -> None:
    client = RedisClient.connect(redis.url())
    announcements = Announcements(client, KEYS, timeout=5, metrics=Metrics())
    await announcements.start()
    subscriptions = Subscriptions(announcements, RedisReplicas(client, KEYS, "one", lease=10))
    for number in range(1_200):
        await subscriptions.open(str(number))
        subscriptions.release(str(number))

    async def left() -> bool:
        return await client.execute("SCARD", KEYS.replica_codes("one")) == 1_000

    await until(left, "the others are left")
    await subscriptions.close()
    await announcements.close()
    await client.close()


@exceeds("Cache of parsed request heads")
async def many_different_heads(redis: RedisServer) -> None:
    async with limited(redis, direct_joins=True) as replica, wire(replica.here.port) as connection:
        for number in range(1200):
            size = "x" * (1000 if number % 10 == 0 else 1)
            head = f"POST /api/session/join HTTP/1.1\r\nHost: x\r\nX-{number}: {size}\r\nContent-Length: 2\r\n\r\n"
            assert (await connection.ask(head, "{}"))[0] == 400
        state = replica.here.replica.public.server_state
        assert isinstance(state, PortState)
        assert state.lane is not None
        lane = state.lane
        assert len(lane.known_heads) <= 1024
        assert max(len(head) for head in lane.known_heads) <= 1024


@exceeds("Data kept of the request that opens a socket")
async def heads_of_sockets_that_stay(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        await _held(replica, "")
        plain = await _held(replica, "")
        assert await _held(replica, _FIELDS) - plain < 2048


@exceeds("Memory of messages queued for a slow client; one queued for many clients counts for each")
async def acks_that_nobody_reads(redis: RedisServer) -> None:
    settings = {"events_per_second": 1_000_000, "events_burst": 1_000_000}
    async with limited(redis, **settings) as replica, websocket(replica) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            # An ack has a hundred bytes: these are far more than the bound and all buffers of the kernel.
            await _send_events(writer, 500_000)


@exceeds("Memory of events that wait to be handled")
async def events_that_have_to_wait(redis: RedisServer) -> None:
    async with limited(redis, redis_timeout=1.5) as replica:
        made = await replica.api.create()
        async with websocket(replica) as (_, writer):
            redis.pause()
            try:
                writer.write(
                    client_frame(f'420["join-session","{made.code}"]'.encode())
                    + client_frame(b'42["no-such-event"]') * 1_500
                )
                inboxes = [item for item in gc.get_objects() if type(item) is Inbox]

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
                await stack.enter_async_context(websocket(replica, fields))
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / 20
    finally:
        tracemalloc.stop()


async def _send_events(writer: asyncio.StreamWriter, count: int) -> None:
    async with asyncio.timeout(_SOON):
        for _ in range(count // 1_000):
            writer.write(client_frame(b'420["no-such-event"]') * 1_000)
            await writer.drain()
