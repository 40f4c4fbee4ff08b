"""Which secret of a list signs, by what the other replicas know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import pytest

from app.redis_client.client import RedisClient
from app.store.replicas import RedisReplicas
from app.store.secret_list import SECRETS, ListedSecrets
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

OLD, NEW, NEWEST = b"old", b"new", b"newest"
DELAY: Final = 0.4


class Fleet:
    """Replicas of one Redis, as far as their secrets go."""

    def __init__(self, connection: RedisClient) -> None:
        self._connection = connection

    async def start(self, name: str, secrets: Sequence[bytes]) -> tuple[ListedSecrets, RedisReplicas]:
        replicas = RedisReplicas(self._connection, KEYS, name, lease=10)
        listed = ListedSecrets(replicas, lambda: secrets, delay=DELAY)
        await replicas.renew({SECRETS: listed.announced()})
        await listed.keep()
        return listed, replicas

    async def previous_release(self) -> RedisReplicas:
        replicas = RedisReplicas(self._connection, KEYS, "previous", lease=10)
        await replicas.renew({"address": "127.0.0.1:1"})
        return replicas


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with RedisServer() as redis:
        connection = RedisClient.connect(redis.url())
        yield Fleet(connection)
        await connection.close()


async def signs(secrets: ListedSecrets, secret: bytes) -> None:
    async def chosen() -> bool:
        await secrets.keep()
        return secrets() == secret

    await until(chosen, f"{secret!r} signs", timeout=5)


async def test_the_newest_secret_signs_once_all_replicas_know_it(fleet: Fleet) -> None:
    _, before = await fleet.start("a", [OLD])
    after, _ = await fleet.start("b", [NEW, OLD])
    assert (after(), tuple(after.others())) == (OLD, (NEW,))
    await before.deregister()
    await signs(after, NEW)
    assert tuple(after.others()) == (OLD,)


async def test_a_replica_that_does_not_know_the_newest_secret_is_heeded_at_once(fleet: Fleet) -> None:
    secrets, _ = await fleet.start("a", [NEW, OLD])
    assert secrets() == NEW
    await fleet.start("b", [OLD])
    await signs(secrets, OLD)


async def test_replicas_that_appear_one_after_another_are_waited_for(fleet: Fleet) -> None:
    """As after an outage of Redis that was longer than a lease."""
    secrets, replicas = await fleet.start("a", [NEW, OLD])
    _, other = await fleet.start("b", [OLD])
    await signs(secrets, OLD)
    await other.deregister()
    await replicas.living()
    await secrets.keep()
    assert secrets() == OLD
    await fleet.start("b", [OLD])
    await replicas.living()
    await secrets.keep()
    assert secrets() == OLD


async def test_beside_the_previous_release_the_oldest_secret_signs(fleet: Fleet) -> None:
    previous = await fleet.previous_release()
    secrets, _ = await fleet.start("a", [NEWEST, NEW, OLD])
    assert (secrets(), tuple(secrets.others())) == (OLD, (NEWEST, NEW))
    await previous.deregister()
    await signs(secrets, NEWEST)


async def test_a_secret_that_is_removed_signs_no_more_beside_those_without_it(fleet: Fleet) -> None:
    secrets, _ = await fleet.start("a", [NEW, OLD])
    await fleet.start("b", [NEW])
    await signs(secrets, NEW)


async def test_a_list_is_read_again_and_forgets_nothing(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    found: list[bytes] | None = [OLD]

    def read() -> list[bytes]:
        if found is None:
            raise ValueError("cannot be read")
        return found

    _, replicas = await fleet.start("a", [OLD])
    listed = ListedSecrets(replicas, read, delay=DELAY)
    of_old = listed.announced()
    found = [NEW]
    of_both = listed.announced()
    assert of_both.split()[1:] == [of_old]
    assert {listed(), *listed.others()} == {NEW, OLD}
    found = None
    assert [listed.announced() for _ in range(2)] == [of_both] * 2
    assert [record.message for record in caplog.records].count("the secrets cannot be read again") == 1
