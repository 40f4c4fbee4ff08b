"""Attempts on connections: how many there are, how long they may be idle, and what they send."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import websockets

from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.wire import UPGRADE, wire
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []

_SOON = 10.0


@exceeds("Sockets")
async def more_sockets_than_a_replica_holds(redis: RedisServer) -> None:
    async with limited(redis, max_connections=3) as replica:
        sockets = [await Socket.open(replica.here.url) for _ in range(3)]
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await Socket.open(replica.here.url)
        await sockets.pop().close()
        sockets.append(await Socket.open(replica.here.url))
        for socket in sockets:
            await socket.close()


@exceeds("Memory in use, with which sockets are opened")
async def a_socket_where_no_memory_is_left(redis: RedisServer) -> None:
    async with limited(redis, memory_limit=2**20) as replica:
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await Socket.open(replica.here.url)


@exceeds("Sockets opened at a time")
async def many_sockets_at_once(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        attempts = [asyncio.create_task(_status(replica.here.port)) for _ in range(400)]
        statuses = Counter([await attempt for attempt in attempts])
        assert statuses.keys() == {101, 503}
        # Two ticks may have passed.
        assert 100 <= statuses[101] < 400


async def _status(port: int) -> int:
    async with wire(port) as connection:
        await connection.write("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n", UPGRADE, "\r\n")
        return (await connection.answer(_SOON))[0]


@exceeds("Sockets of an address")
async def more_sockets_than_an_address_may_have(redis: RedisServer) -> None:
    async with limited(redis, max_connections_per_address=3) as replica:
        sockets = [await Socket.open(replica.here.url) for _ in range(3)]
        with pytest.raises(websockets.InvalidStatus, match="429"):
            await Socket.open(replica.here.url)
        for socket in sockets:
            await socket.close()


@exceeds("Time until a socket has to join a session")
async def a_socket_that_never_joins(redis: RedisServer) -> None:
    async with limited(redis, join_deadline=0.2) as replica:
        socket = await Socket.open(replica.here.url)
        await socket.closed(_SOON)


@exceeds("Time to answer a heartbeat")
async def a_client_that_answers_no_heartbeat(redis: RedisServer) -> None:
    async with limited(redis, ping_interval=0.2, ping_timeout=0.2) as replica:
        url = replica.here.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url, proxy=None, ping_interval=None) as connection, asyncio.timeout(_SOON):
            await connection.wait_closed()


@exceeds("Events")
async def more_events_than_a_socket_may_send(redis: RedisServer) -> None:
    async with limited(redis, events_per_second=50, events_burst=10) as replica:
        socket = await Socket.open(replica.here.url)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(socket.emit("no-such-event") for _ in range(60)))
        assert asyncio.get_running_loop().time() - started > 0.9
        await socket.close()
