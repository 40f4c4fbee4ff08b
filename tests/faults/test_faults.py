"""Whatever breaks under a steady load: all end at the head, nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import pytest

from tests.faults.checker import lies
from tests.faults.load import Load
from tests.faults.world import World, replicas_of
from tests.harness.node import NodeClients
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

_HEALING: Final = 10.0
_CALM: Final = 1.0
_CHANGES: Final = 600

pytestmark = pytest.mark.asyncio(loop_scope="session")

_logger = logging.getLogger(__name__)

Fault = Callable[[World, Load], Awaitable[None]]


async def redis_killed(world: World, load: Load) -> None:
    world.redis.kill()
    await asyncio.sleep(1)
    await world.redis.start()


async def redis_stopped(world: World, load: Load) -> None:
    world.redis.pause()
    await asyncio.sleep(5)
    world.redis.resume()


async def subscribers_killed(world: World, load: Load) -> None:
    for _ in range(5):
        await world.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.4)


async def subscriber_overrun(world: World, load: Load) -> None:
    await world.redis.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 64kb 64kb 0")
    before = len((await world.redis.call("CLIENT", "LIST", "TYPE", "pubsub")).splitlines())
    channel = f"js:{{{load.codes[0]}}}"
    flood = "for n = 1, 64 do redis.call('SPUBLISH', KEYS[1], string.rep('x', 16384)) end return 1"
    world.links[0].freeze()

    async def overrun() -> bool:
        await world.redis.call("EVAL", flood, 1, channel)
        return len((await world.redis.call("CLIENT", "LIST", "TYPE", "pubsub")).splitlines()) < before

    await until(overrun, "the server has closed the subscriber's connection")
    world.links[0].thaw()


async def scripts_flushed(world: World, load: Load) -> None:
    for _ in range(5):
        await world.redis.call("SCRIPT", "FLUSH")
        await asyncio.sleep(0.3)


async def replica_killed(world: World, load: Load) -> None:
    world.replicas[0].kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(world.replicas[0].restart)


async def replica_stopped(world: World, load: Load) -> None:
    world.replicas[1].pause()
    await asyncio.sleep(10)
    world.replicas[1].resume()


async def replicas_restarted(world: World, load: Load) -> None:
    for replica in world.replicas:
        assert await asyncio.to_thread(replica.stop) == 0
        await asyncio.to_thread(replica.restart)


async def network_cut(world: World, load: Load) -> None:
    link = world.links[2]
    await link.refuse()
    link.cut()
    await asyncio.sleep(3)
    await link.accept()


async def network_half_open(world: World, load: Load) -> None:
    world.links[2].half_open()


async def last_change_in_an_outage_of_redis(world: World, load: Load) -> None:
    await load.reaches(_CHANGES - load.done)
    world.redis.pause()
    await asyncio.sleep(1)
    await load.stop(repeating=False)
    world.redis.resume()


async def last_change_as_redis_dies(world: World, load: Load) -> None:
    await load.reaches(_CHANGES - load.done)
    world.redis.kill()
    await load.stop(repeating=False)
    await world.redis.start()


async def last_change_behind_a_cut(world: World, load: Load) -> None:
    await load.reaches(_CHANGES - load.done)
    link = world.links[0]
    await link.refuse()
    link.cut()
    await load.stop(repeating=False)
    await link.accept()


FAULTS: Final[list[Fault]] = [
    redis_killed,
    redis_stopped,
    subscribers_killed,
    subscriber_overrun,
    scripts_flushed,
    replica_killed,
    replica_stopped,
    replicas_restarted,
    network_cut,
    network_half_open,
    last_change_in_an_outage_of_redis,
    last_change_as_redis_dies,
    last_change_behind_a_cut,
]


async def survive(broken: World, node: NodeClients, *faults: Fault, changes: int, sessions: int = 4) -> None:
    """Runs the faults one after the other under a load, then looks for lies."""
    started = datetime.now(UTC).isoformat()
    async with Load.on(node, broken.api, broken.urls, sessions) as load:
        await load.reaches(changes // 4)
        departures = asyncio.create_task(load.send_some_away())
        for fault in faults:
            await fault(broken, load)
            healed = time.time()
            if not load.stopped:
                await load.reaches(changes // (2 * len(faults)))
        await departures
        if not load.stopped:
            await load.reaches(max(changes - load.done, 1))
        last_change = await load.stop()
        rooms = await load.settle(max(healed + _HEALING, last_change + _HEALING / 2))
        agreed = time.time()
        assert [lie for room in rooms for lie in lies(room)] == []
        for replica in broken.replicas:
            lines = [line for line in replica.logs() if line.get("ts", started) >= started]
            assert [line for line in lines if line.get("level", "text") in ("error", "critical", "text")] == []
        after_fault, after_change = agreed - healed, agreed - last_change
        _logger.info(
            "%d changes; all agreed %.1f s after the last fault, %.1f s after the last change",
            load.done,
            after_fault,
            after_change,
        )


async def test_a_move_to_another_redis_loses_nothing(node: NodeClients) -> None:
    """The way of docs/redis.md: a copy, a failover to it, and the end of the former one."""
    users, login = ["app on >secret ~* &* +@all"], {"masteruser": "app", "masterauth": "secret"}
    async with (
        RedisServer(aof=True, users=users, config=login) as latest,
        RedisServer(aof=True, users=users, config=login) as former,
    ):
        # Listed first although it is a copy.
        url = f"redis://app:secret@{latest.address},{former.address}"
        await latest.call("REPLICAOF", former.address.host, former.address.port)

        async def copied() -> bool:
            return b"state=online" in await former.call("INFO", "replication")

        async def moved(_world: World, load: Load) -> None:
            await former.call("FAILOVER")
            await load.reaches(20)
            assert (await latest.call("ROLE"))[0] == b"master"
            former.kill()

        await until(copied, "the copy is complete")
        async with replicas_of(former, [url] * 3, [], grace=600) as world:
            await survive(world, node, moved, changes=80, sessions=2)


@pytest.mark.parametrize("fault", [redis_killed, subscribers_killed])
async def test_a_few_changes_survive(broken: World, node: NodeClients, fault: Fault) -> None:
    await survive(broken, node, fault, changes=40, sessions=2)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
async def test_many_changes_survive(broken: World, node: NodeClients, fault: Fault) -> None:
    await survive(broken, node, fault, changes=_CHANGES)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_many_changes_survive_everything_in_sequence(broken: World, node: NodeClients) -> None:
    await survive(broken, node, *FAULTS[:-2], changes=_CHANGES)
