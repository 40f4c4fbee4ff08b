"""What replicas tell each other: leases, and sessions to look at, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.redis_client.client import RedisClient
from app.redis_client.reply import integer
from app.sessions.errors import SessionError
from app.store.replicas import RedisReplicas
from tests.harness.keys import KEYS
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

CODE = "123456"


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisClient]:
    connection = RedisClient.connect(redis_server.url())
    yield connection
    await connection.close()


@pytest.fixture
def replica(connection: RedisClient) -> RedisReplicas:
    return RedisReplicas(connection, KEYS, "one", lease=10)


async def test_a_session_is_due_at_the_earliest_time_it_was_scheduled_for(
    replica: RedisReplicas, connection: RedisClient
) -> None:
    now = replica.now()
    for due in (now + 5000, now + 3000, now + 9000):
        await replica.due.schedule(CODE, due)
    score = integer(await connection.execute("ZSCORE", KEYS.due, CODE))
    assert now + 2990 <= score <= now + 3000
    assert (await replica.due.claim(10)).codes == []


async def test_a_session_is_claimed_by_one_replica_only(connection: RedisClient, replica: RedisReplicas) -> None:
    await replica.due.schedule(CODE, replica.now() - 1)
    assert (await replica.due.claim(10)).codes == [CODE]
    assert (await RedisReplicas(connection, KEYS, "two", lease=10).due.claim(10)).codes == []


async def test_a_claim_that_is_not_settled_is_due_again(replica: RedisReplicas) -> None:
    """As when its replica has died."""
    await replica.due.schedule(CODE, replica.now() - 1)
    assert (await replica.due.claim(0.05)).codes == [CODE]

    async def claimed_again() -> bool:
        return (await replica.due.claim(10)).codes == [CODE]

    await until(claimed_again, "the claim has run out")


@pytest.mark.parametrize("grace", [1, 60_000])
async def test_what_is_scheduled_while_a_session_is_swept_is_not_forgotten(
    replica: RedisReplicas, connection: RedisClient, grace: int
) -> None:
    """Also when it is due later than the claim runs out: the sweep may have looked before it."""
    await replica.due.schedule(CODE, replica.now() - 1)
    due = await replica.due.claim(10)
    await replica.due.schedule(CODE, replica.now() + grace)
    await replica.due.settle(CODE, due.claim, 0)
    assert integer(await connection.execute("ZSCORE", KEYS.due, CODE)) <= replica.now() + grace


async def test_a_settled_session_is_looked_at_again_when_somebody_is_still_away(
    replica: RedisReplicas, connection: RedisClient
) -> None:
    await replica.due.schedule(CODE, replica.now() - 1)
    due = await replica.due.claim(10)
    await replica.due.settle(CODE, due.claim, replica.now() + 5000)
    assert integer(await connection.execute("ZSCORE", KEYS.due, CODE)) > replica.now()
    await replica.due.schedule(CODE, replica.now() - 1)
    due = await replica.due.claim(10)
    await replica.due.settle(CODE, due.claim, 0)
    assert await connection.execute("ZSCORE", KEYS.due, CODE) is None


async def test_a_replica_whose_lease_has_run_out_is_dead_and_learns_of_it(
    replica: RedisReplicas, connection: RedisClient
) -> None:
    other = RedisReplicas(connection, KEYS, "two", lease=0.05)
    assert (await other.renew({})).lapsed, "unknown until now"
    await replica.renew({})

    async def dead() -> bool:
        return (await replica.renew({})).dead == ["two"]

    await until(dead, "the lease has run out")
    assert (await other.renew({})).lapsed
    assert (await replica.renew({})).lapsed is False


async def test_entering_again_and_leaving_keep_their_order_over_a_reconnect(redis_server: RedisServer) -> None:
    async with FaultProxy(redis_server.port) as link:
        connection = RedisClient.connect(f"redis://127.0.0.1:{link.port}", timeout=5)
        replica = RedisReplicas(connection, KEYS, "one", lease=10)

        async def lost() -> bool:
            return connection.topology.ready(b"") is None

        for turn in range(25):
            code = str(turn)
            await replica.enter([code])
            await link.refuse()
            link.cut()
            await until(lost, "the connection is lost")
            asked = [asyncio.create_task(replica.exit([code])), asyncio.create_task(replica.enter([code]))]
            await asyncio.sleep(0.05)
            await link.accept()
            await asyncio.gather(*asked)
            assert await connection.execute("SISMEMBER", KEYS.replica_codes("one"), code) == 1, turn
        await connection.close()


async def test_what_was_sent_before_entering_again_and_comes_late_is_put_right(redis_server: RedisServer) -> None:
    async with FaultProxy(redis_server.port) as link:
        connection = RedisClient.connect(f"redis://127.0.0.1:{link.port}", timeout=0.3)
        replica = RedisReplicas(connection, KEYS, "one", lease=10)
        await replica.enter([CODE])
        link.freeze(answers_only=True)
        with pytest.raises(SessionError, match="outcome-unknown"):
            await replica.exit([CODE])
        link.thaw()
        await replica.enter([CODE])
        # As if it had been on its way until now.
        await redis_server.call("SREM", KEYS.replica_codes("one"), CODE)
        await replica.renew({})
        assert await connection.execute("SISMEMBER", KEYS.replica_codes("one"), CODE) == 1
        await connection.close()
