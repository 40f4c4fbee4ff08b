"""More clients than fit, which come again and again: as many as fit are served, and nothing is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.cgroups import MemoryGroup, memory_group
from tests.harness.metrics import scrape
from tests.harness.people import Api, movie
from tests.harness.reconnecting import Second, assert_served, reconnecting
from tests.harness.redis import RedisServer
from tests.harness.service import Replica

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(500)]

LIMIT: Final = 160 * 2**20
CLIENTS: Final = 8000
CONNECTED: Final = 4750
# Of half as many.
RESUMED: Final = 3600
SESSIONS: Final = 800
MOVIES: Final = 4
HELD_SECONDS: Final = 30
SETTINGS: Final[dict[str, Any]] = {
    # As behind an ingress, but with the addresses of the clients for those of its own.
    "unlimited_addresses": "192.0.2.0/24",
    "trusted_proxies": "127.0.0.0/8",
    "create_budget": 1_000_000,
    "max_sessions_per_address": 1_000_000,
    "log_levels": "app=info",
}


async def test_eight_thousand_clients_of_two_small_replicas(redis_server: RedisServer, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        groups = [stack.enter_context(memory_group(LIMIT)) for _ in range(2)]
        replicas = [Replica(redis_server.url(), **SETTINGS, **group.settings) for group in groups]
        for replica, group in zip(replicas, groups, strict=True):
            stack.callback(replica.close)
            await started(replica, group)
            assert (await scrape(replica)).value("join_session_max_connections") == 2925
        codes = await made(replicas, tmp_path)
        ports = [replica.port for replica in replicas]
        async with reconnecting(codes, CLIENTS, movies=MOVIES, votes_per_second=100, ports=ports) as crowd:
            await crowd.until(enough, 120)
            held = await crowd.during(HELD_SECONDS)
            assert all(map(enough, held))
            assert sum(second.lost for second in held) == 0
            assert sum(second.refused for second in held) > 0
            assert_served(held)
            # One comes up under all of it.
            replicas[0].kill()
            await started(replicas[0], groups[0])
            await crowd.until(enough, 120)
            # Half as many fit, of which half have to come anew.
            count = len(crowd.seconds)
            await crowd.want(CLIENTS // 2)
            await crowd.until(lambda second: second.wanted == CLIENTS // 2 and second.joined > RESUMED, 30)
            assert min(second.joined for second in crowd.seconds[count:]) < RESUMED
            assert_served(await crowd.during(5))
        for replica, group in zip(replicas, groups, strict=True):
            assert group.kills() == 0
            assert (await scrape(replica)).value("join_session_memory_in_use_bytes") < LIMIT


async def started(replica: Replica, group: MemoryGroup) -> None:
    replica.launch()
    group.add(replica.pid)
    await asyncio.to_thread(replica.wait_until_serving)


async def made(replicas: Sequence[Replica], folder: Path) -> Path:
    api = Api(replicas)
    movies = [movie(f"m{number}") for number in range(MOVIES)]
    codes = folder / "codes"
    codes.write_text("".join([f"{(await api.create(capacity=1000, movies=movies)).code}\n" for _ in range(SESSIONS)]))
    await api.close()
    return codes


def enough(second: Second) -> bool:
    return second.joined >= CONNECTED
