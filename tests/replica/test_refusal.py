"""A replica that Redis refuses is unready while Redis accepts another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.metrics import scrape
from tests.harness.ports import free_port
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

LEASE: Final = 0.6
RIGHTS: Final = ">secret ~js:* &js:* +@all"


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    """A Redis with a user for each of two replicas."""
    async with RedisServer(users=[f"{name} on {RIGHTS}" for name in ("one", "two")]) as server:
        yield server


async def ready(replica: Here) -> tuple[int, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{replica.internal_url}/readyz")
        return answer.status_code, answer.json()


async def until_ready(replica: Here, code: int, **body: str) -> None:
    async def it_is() -> bool:
        return await ready(replica) == (code, body)

    await until(it_is, f"/readyz answers {code} {body}")


async def refuse(redis: RedisServer, user: str) -> None:
    await redis.call("ACL", "DELUSER", user)


async def accept(redis: RedisServer, user: str) -> None:
    await redis.call("ACL", "SETUSER", user, "on", *RIGHTS.split())


async def test_who_is_refused_is_unready_as_long_as_another_replica_is_accepted(redis: RedisServer) -> None:
    async with (
        served_here(redis.url("one:secret"), lease=LEASE) as (one,),
        served_here(redis.url("two:secret"), lease=LEASE) as (two,),
    ):
        await one.replica.sockets.directory.refresh()
        await refuse(redis, "one")
        await until_ready(one, 503, status="refused", redis="away")
        assert await ready(two) == (200, {"status": "ready", "redis": "up"})
        await refuse(redis, "two")
        await until_ready(two, 200, status="ready", redis="away")
        await until_ready(one, 200, status="ready", redis="away")
        assert (await scrape(one)).value("join_session_redis_refused") == 1
        await accept(redis, "one")
        await until_ready(one, 200, status="ready", redis="up")


async def test_a_replica_that_started_later_is_found_by_the_name_of_all(redis: RedisServer) -> None:
    port = free_port()
    name = f"localhost:{port}"
    async with served_here(redis.url("one:secret"), lease=LEASE, replicas_name=name) as (one,):
        await refuse(redis, "one")
        await until_ready(one, 200, status="ready", redis="away")
        async with served_here(redis.url("two:secret"), lease=LEASE, internal_port=port):
            await until_ready(one, 503, status="refused", redis="away")
        await until_ready(one, 200, status="ready", redis="away")


async def test_an_outage_of_redis_makes_no_replica_unready(redis: RedisServer) -> None:
    async with served_here(redis.url("one:secret"), 2, lease=LEASE) as replicas:
        redis.kill()
        for replica in replicas:
            await until_ready(replica, 200, status="ready", redis="away")
