"""Redis loses the secret that the replicas share: they give it back, or agree on another one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest

from app.redis_client.client import RedisClient
from app.store.secret import StoredSecret
from tests.harness.here import Here, served_here
from tests.harness.keys import KEYS
from tests.harness.people import Api, Made
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLL = "/socket.io/?EIO=4&transport=polling"
LEASE = 3
ANOTHER = "another replica's secret, which was there first"


@pytest.mark.parametrize("loss", [("FLUSHALL",), ("DEL", KEYS.secret)], ids=["everything", "the secret"])
async def test_a_lost_secret_is_given_back_before_another_replica_makes_one(loss: Sequence[str]) -> None:
    async with RedisServer() as redis, served_here(redis.url(), lease=LEASE) as (first,), opened(first) as api:
        made = await api.create()
        before = await redis.call("GET", KEYS.secret)
        await redis.call(*loss)

        async def is_back() -> bool:
            listed = await redis.call("EXISTS", KEYS.replicas)
            return bool(listed and await redis.call("GET", KEYS.secret) == before)

        await until(is_back, "the secret is back, and the lease", timeout=5)
        if loss[0] == "FLUSHALL":
            made = await api.create()
        async with served_here(redis.url()) as (second,):
            await assert_understand_each_other(made, [first, second])


async def test_replicas_that_find_another_secret_sign_with_it_and_know_both() -> None:
    async with RedisServer() as redis, served_here(redis.url(), 2) as pair, opened(*pair) as api:
        made = await api.create()
        await redis.call("SET", KEYS.secret, ANOTHER)
        async with served_here(redis.url()) as (newcomer,), opened(newcomer) as there:

            async def agrees(replica: int) -> bool:
                later = await api.create(replica=replica)
                answer = await there.call("PATCH", later.path, token=later.host_token, json={"title": "T"})
                return answer.status_code == 200

            for replica in range(2):
                await until(partial(agrees, replica), "the others have found the newcomer's secret", timeout=5)
            for replica in range(2):
                answer = await api.call("PATCH", made.path, replica=replica, token=made.host_token, json={"title": "T"})
                assert answer.status_code == 200
            await assert_understand_each_other(await api.create(replica=1), [*pair, newcomer])


async def test_few_secrets_are_remembered() -> None:
    async with RedisServer() as redis:
        connection = RedisClient.connect(redis.url())
        secret = StoredSecret(connection, KEYS)
        for number in range(6):
            await redis.call("SET", KEYS.secret, f"secret {number}")
            await secret.keep()
        assert (secret(), secret.others()) == (b"secret 5", (b"secret 4", b"secret 3", b"secret 2"))
        await redis.call("SET", KEYS.secret, "secret 3")
        await secret.keep()
        assert (secret(), secret.others()) == (b"secret 3", (b"secret 5", b"secret 4", b"secret 2"))
        await connection.close()


async def assert_understand_each_other(made: Made, replicas: Sequence[Here]) -> None:
    """A token is good at each, and each passes on what is for any other."""
    async with opened(*replicas) as api, httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for number in range(len(replicas)):
            answer = await api.call("PATCH", made.path, replica=number, token=made.host_token, json={"title": "T"})
            assert answer.status_code == 200, answer.text
        for owner in replicas:
            for other in replicas:
                sid = json.loads((await client.get(owner.url + POLL)).text[1:])["sid"]
                await until(partial(is_passed_on, client, f"{other.url}{POLL}&sid={sid}"), "a request is passed on")


async def is_passed_on(client: httpx.AsyncClient, url: str) -> bool:
    """False while the replicas do not know each other again, and ask the client to try once more."""
    answer = await client.post(url, content="40")
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


@asynccontextmanager
async def opened(*replicas: Here) -> AsyncIterator[Api]:
    api = Api(replicas)
    try:
        yield api
    finally:
        await api.close()
