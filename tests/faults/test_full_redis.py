"""Redis takes nothing more for longer than a lease: an outage for those who write, and for nobody else."""

from __future__ import annotations

import httpx
import pytest

from tests.harness.here import served_here
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEASE = 0.9
POLL = "/socket.io/?EIO=4&transport=polling"


async def test_replicas_keep_their_leases_in_a_full_redis_and_pass_on_what_is_for_each_other() -> None:
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 2, lease=LEASE) as (owner, other),
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
    ):
        sid = (await client.get(owner.url + POLL)).text.split('"')[3]
        await redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
        full_since = await now(redis)

        async def outlasted() -> bool:
            return await now(redis) > full_since + 2 * LEASE

        await until(outlasted, "two leases are over")
        posted = await client.post(f"{other.url}{POLL}&sid={sid}", content="40")
        assert (posted.status_code, posted.text) == (200, "ok")
        assert (await client.get(f"{other.url}{POLL}&sid={sid}")).text.startswith("40")
        assert len(await redis.call("KEYS", "js:replica:*")) == 2
        created = await client.post(f"{other.url}/api/session/create")
        assert (created.status_code, created.json()["code"]) == (503, "unavailable")
        await redis.call("CONFIG", "SET", "maxmemory", "0")


async def test_a_replica_that_starts_is_ready_in_a_full_redis_that_an_earlier_release_has_filled() -> None:
    async with RedisServer() as redis, httpx.AsyncClient(trust_env=False, timeout=10) as client:
        await redis.call("SET", KEYS.secret, "s" * 64)
        await redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
        async with served_here(redis.url()) as (replica,):

            async def ready() -> bool:
                return (await client.get(f"{replica.internal_url}/readyz")).status_code == 200

            await until(ready, "the replica is ready")
            assert await redis.call("EXISTS", KEYS.marker) == 0
            await redis.call("CONFIG", "SET", "maxmemory", "0")

            async def marked() -> bool:
                return bool(await redis.call("EXISTS", KEYS.marker))

            await until(marked, "the marker is stored")


async def now(redis: RedisServer) -> float:
    seconds, microseconds = await redis.call("TIME")
    return int(seconds) + int(microseconds) / 1e6
