"""Sentinel and Cluster, with the failovers and slot moves they are made for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from redis.crc import key_slot

from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import CommandFailed, StoreUnavailable
from app.redis_client.reply import data, integer
from tests.harness.cluster import ClusterSet
from tests.harness.redis import RedisServer
from tests.harness.sentinel import SentinelSet
from tests.harness.waiting import until

TIMEOUT = 1.0
SLACK = 0.5
COUNT = Script("count", "return redis.call('INCR', KEYS[1])")
COUNT_AND_PUBLISH = Script(
    "count and publish", "redis.call('SPUBLISH', KEYS[2], 'x') return redis.call('INCR', KEYS[1])"
)


async def count_through(fault: Coroutine[Any, Any, object], connection: RedisClient, key: str) -> tuple[int, int]:
    """Count without pause until the fault is over and counting works again; how many were confirmed and unknown."""
    confirmed = unknown = 0
    over = asyncio.create_task(fault)
    served_since = False
    while not (over.done() and served_since):
        started = time.monotonic()
        try:
            await connection.run(COUNT, [key])
            confirmed += 1
            served_since = over.done()
        except StoreUnavailable as failure:
            unknown += failure.sent
        assert time.monotonic() - started < TIMEOUT + SLACK
    await over
    return confirmed, unknown


async def test_of_several_servers_the_primary_is_used_and_followed_through_a_failover() -> None:
    async with RedisServer() as latest, RedisServer() as former:
        await latest.call("REPLICAOF", former.address.host, former.address.port)
        await until(partial(has_copy, former), "the copy is complete")
        connection = RedisClient.connect(f"redis://{latest.address},{former.address}", timeout=TIMEOUT)
        failover = former.call("FAILOVER", "TO", latest.address.host, latest.address.port)
        confirmed, unknown = await count_through(failover, connection, "count")
        assert (await former.call("ROLE"))[0] == b"slave"
        assert confirmed <= integer(await connection.execute("GET", "count")) <= confirmed + unknown
        former.kill()
        assert integer(await connection.run(COUNT, ["count"])) > confirmed
        await connection.close()


async def test_while_two_servers_are_primaries_none_is_used() -> None:
    async with RedisServer() as one, RedisServer() as other:
        connection = RedisClient.connect(f"redis://{one.address},{other.address}", timeout=0.5)
        with pytest.raises(StoreUnavailable, match="2 of the servers are primaries"):
            await connection.ping()
        await connection.close()


async def has_copy(server: RedisServer) -> bool:
    """Whether the server takes its replica for one to hand over to; the replica says so of itself earlier."""
    return b"state=online" in await server.call("INFO", "replication")


async def test_a_sentinel_service_is_followed_through_a_failover() -> None:
    async with SentinelSet() as service:
        connection = RedisClient.connect(service.url(), timeout=TIMEOUT)
        assert await connection.run(COUNT, ["before"]) == 1
        service.sentinels[0].pause()
        again = RedisClient.connect(service.url(), timeout=TIMEOUT)
        assert await again.run(COUNT, ["before"]) == 2, "a sentinel that hangs is passed over"
        service.sentinels[0].resume()
        first = await service.primary()
        confirmed, _ = await count_through(service.failover(), connection, "count")
        assert confirmed > 0
        assert await service.primary() is not first
        assert integer(await connection.execute("GET", "count")) > 0
        # The connection that slept through it finds the new primary as well.
        assert integer(await again.execute("INCR", "before")) > 0
        await connection.close()
        await again.close()


async def test_a_primary_that_was_replaced_on_purpose_gets_no_more_writes() -> None:
    async with SentinelSet() as service:
        connection = RedisClient.connect(service.url(), timeout=TIMEOUT)
        await connection.ping()
        old = await service.primary()
        await service.sentinels[0].call("SENTINEL", "FAILOVER", "join-session")

        async def replaced() -> bool:
            return b"tcp_port:%d\r" % old.port not in data(await connection.execute("INFO", "server"))

        await until(replaced, "the connection has left the old primary")
        assert (await old.call("ROLE"))[0] == b"master", "or the test shows nothing"
        assert await connection.run(COUNT, ["count"]) == 1
        assert await (await service.primary()).call("GET", "count") == b"1"
        await connection.close()


async def test_an_unknown_service_or_no_sentinel_at_all_is_told_in_time() -> None:
    async with RedisServer() as no_sentinel:
        for url in (
            f"redis+sentinel://127.0.0.1:{no_sentinel.port}/join-session",
            "redis+sentinel://127.0.0.1:1,127.0.0.1:2/join-session",
        ):
            connection = RedisClient.connect(url, timeout=0.3)
            started = time.monotonic()
            with pytest.raises(StoreUnavailable) as failure:
                await connection.ping()
            assert (failure.value.reason, failure.value.sent) == ("refused", False)
            assert time.monotonic() - started < 0.3 + SLACK
            await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[ClusterSet]:
    """One for all tests that leave it whole."""
    async with ClusterSet() as cluster:
        yield cluster


async def test_a_cluster_takes_each_command_on_the_node_of_its_key(cluster: ClusterSet) -> None:
    connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
    await asyncio.gather(*(connection.execute("SET", f"key{n}", n) for n in range(300)))
    replies = await connection.batch([("GET", f"key{n}") for n in range(300)])
    assert replies == [b"%d" % n for n in range(300)]
    assert all([await node.call("DBSIZE") for node in cluster.nodes[:3]])
    await connection.ping()
    assert await connection.execute("EVAL", "return KEYS[1]", 1, "key7") == b"key7"
    assert await connection.run(Script("no key", "return 1"), []) == 1
    with pytest.raises(CommandFailed, match="CROSSSLOT"):
        await connection.execute("DEL", "key1", "key2")
    await connection.close()


async def test_a_script_publishes_in_the_slot_of_its_keys_only(cluster: ClusterSet) -> None:
    connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
    assert await connection.run(COUNT_AND_PUBLISH, ["{one}count", "{one}channel"]) == 1
    with pytest.raises(CommandFailed, match="CROSSSLOT"):
        await connection.run(COUNT_AND_PUBLISH, ["{one}count", "{two}channel"])
    await connection.close()


async def test_a_slot_that_moves_costs_nothing(cluster: ClusterSet) -> None:
    connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
    for _ in range(3):
        await count_through(cluster.move_slot("{moving}"), connection, "{moving}count")
    confirmed, unknown = await count_through(cluster.move_slot("{moving}"), connection, "{moving}other")
    assert unknown == 0
    assert integer(await connection.execute("GET", "{moving}other")) == confirmed
    await connection.close()


async def test_a_slot_half_moved_is_served_where_the_key_is() -> None:
    async with ClusterSet() as cluster:
        connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
        await connection.execute("SET", "{moving}here", "x")
        source = await cluster.owner("{moving}")
        target = next(node for node in cluster.nodes[:3] if node is not source)
        slot = key_slot(b"moving")
        await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        assert await connection.execute("GET", "{moving}here") == b"x"
        written = await asyncio.gather(*(connection.execute("INCR", "{moving}there") for _ in range(50)))
        assert sorted(map(integer, written)) == list(range(1, 51))
        assert await source.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        assert await target.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        await connection.close()


async def test_a_cluster_is_followed_through_a_failover() -> None:
    async with ClusterSet() as cluster:
        connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
        dead = await cluster.owner("count")
        confirmed, unknown = await count_through(cluster.failover("count"), connection, "count")
        assert await cluster.owner("count") is not dead
        assert confirmed > 0
        assert integer(await connection.execute("GET", "count")) <= confirmed + unknown
        await connection.close()


async def test_a_node_that_hangs_disturbs_no_other() -> None:
    async with ClusterSet() as cluster:
        connection = RedisClient.connect(cluster.url(), timeout=TIMEOUT)
        hanging = await cluster.owner("count")
        owners = {key: await cluster.owner(key) for key in "abcdefgh"}
        key = next(key for key, owner in owners.items() if owner is not hanging)
        await asyncio.gather(connection.run(COUNT, ["count"]), connection.run(COUNT, [key]))
        hanging.pause()
        stuck = asyncio.create_task(connection.run(COUNT, ["count"]))
        for _ in range(20):
            started = time.monotonic()
            await connection.run(COUNT, [key])
            assert time.monotonic() - started < SLACK
        with pytest.raises(StoreUnavailable):
            await stuck
        await until(lambda: connection.run(COUNT, ["count"]), "the replica is in charge")
        hanging.resume()
        await connection.close()


async def test_a_server_that_is_no_cluster_is_told_in_time() -> None:
    async with RedisServer() as server:
        connection = RedisClient.connect(f"redis+cluster://127.0.0.1:{server.port}", timeout=0.3)
        with pytest.raises(StoreUnavailable, match="cluster support disabled") as failure:
            await connection.ping()
        assert not failure.value.sent
        await connection.close()
