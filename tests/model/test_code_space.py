"""Giving out codes where few or none are left: the same work however full the space is, and each code once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from app.redis_client.client import RedisClient
from app.sessions.admission import Client
from app.sessions.codes import CodeSpace
from app.sessions.creation import Created
from app.sessions.errors import SessionError
from app.sessions.ids import random_id
from app.sessions.payloads import CreateSession, NoArguments
from app.sessions.rules import Rules
from app.sessions.service import SessionService
from app.sessions.tokens import TokenSigner
from app.store.budgets import RedisBudgets
from app.store.creators import RedisCreators
from app.store.sessions import RedisSessions
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

DIGITS: Final = "0123456789"
REST: Final = 0.2
CLIENT: Final = Client("test", unlimited=True)
# What the codes of one space may be tried for, at the most, one look and one attempt to take it.
MOST_LOOKS: Final = 1 + 64 + 1024
# Takes every code from ARGV[1] to ARGV[2] but those that can be divided by ten.
TAKE: Final = """
for number = ARGV[1], ARGV[2] do
  if number % 10 ~= 0 or ARGV[3] == 'all' then
    redis.call('SET', string.format('js:{%0' .. ARGV[4] .. 'd}:code', number), 'somebody', 'NX', 'PX', 3600000)
  end
end
"""


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer(unix=True) as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[RedisSessions]:
    connection = RedisClient.connect(redis.url(), timeout=10)
    store = RedisSessions(connection, KEYS, quarantine=REST, max_listed=200)
    yield store
    await store.close()
    await connection.close()


def service(store: RedisSessions, length: int) -> SessionService:
    rules = Rules(
        decide_delay=10,
        lifetime=600,
        min_lifetime=60,
        max_lifetime=3600,
        unjoined_lifetime=0,
        code_rest=REST,
        capacity=10,
        max_capacity=10,
        max_movies=10,
        max_movies_bytes=10_000,
        grace=60,
        leaver_ratings="keep",
        second_connection="allow",
        miss_budget=20,
        miss_budget_total=6000,
        create_budget=60,
        max_sessions=1000,
        max_sessions_per_address=1000,
    )
    budgets = RedisBudgets(store._client, KEYS, lambda: b"secret")
    creators = RedisCreators(store._client, KEYS, lambda: b"secret", longest=3600, plan_memory=60)
    signer = TokenSigner(lambda: b"secret")
    return SessionService(store, budgets, creators, CodeSpace(DIGITS, length), signer, rules, new_id=random_id)


@pytest.mark.parametrize("length", [5, pytest.param(6, marks=[pytest.mark.slow, pytest.mark.timeout(240)])])
async def test_with_nine_of_ten_codes_taken_creating_costs_a_bounded_number_of_commands(
    redis: RedisServer, store: RedisSessions, length: int
) -> None:
    await take(redis, length, "most")
    assert await redis.call("DBSIZE") == 9 * 10 ** (length - 1)
    creating = service(store, length)
    codes, costs = set(), []
    for _ in range(100):
        before = await calls(redis)
        codes.add((await creating.create(CreateSession(), CLIENT)).session.code)
        await store.close()
        costs.append(await calls(redis) - before)
    assert len(codes) == 100
    assert all(int(code) % 10 == 0 for code in codes)
    # Nearly all find a code among the first 65; what a creation takes besides is a few dozen commands.
    assert max(costs) < MOST_LOOKS + 100
    assert sorted(costs)[len(costs) // 2] < 65 + 100

    together = await asyncio.gather(*(creating.create(CreateSession(), CLIENT) for _ in range(200)))
    codes |= {created.session.code for created in together}
    assert len(codes) == 300

    await take(redis, length, "all")
    before = await calls(redis)
    with pytest.raises(SessionError) as refused:
        await creating.create(CreateSession(), CLIENT)
    assert (refused.value.code, refused.value.status, refused.value.retryable) == ("codes-exhausted", 503, True)
    assert await calls(redis) - before < MOST_LOOKS + 100


async def test_of_a_small_space_every_code_is_given_out_once_and_then_none(store: RedisSessions) -> None:
    creating = service(store, 1)
    outcomes = await asyncio.gather(
        *(creating.create(CreateSession(), CLIENT) for _ in range(25)), return_exceptions=True
    )
    created = [outcome for outcome in outcomes if isinstance(outcome, Created)]
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, SessionError)]
    assert sorted(made.session.code for made in created) == list(DIGITS)
    assert refused == ["codes-exhausted"] * 15


async def test_a_code_rests_before_it_is_given_out_again(store: RedisSessions) -> None:
    creating = service(store, 1)
    for _ in range(10):
        made = await creating.create(CreateSession(), CLIENT)
    access = await creating.access(made.session.code, made.host_token, CLIENT)
    await creating.end_session(access, NoArguments())
    with pytest.raises(SessionError, match="codes-exhausted"):
        await creating.create(CreateSession(), CLIENT)

    async def rested() -> bool:
        return not await store._client.execute("EXISTS", KEYS.reservation(made.session.code))

    await until(rested, "the code has rested")
    assert (await creating.create(CreateSession(), CLIENT)).session.code == made.session.code


async def take(redis: RedisServer, length: int, which: str) -> None:
    for first in range(0, 10**length, 50_000):
        await redis.call("EVAL", TAKE, 0, first, first + 49_999, which, length)


async def calls(redis: RedisServer) -> int:
    """How many commands the server has run, those inside scripts and our question not counted."""
    stats: Any = await redis.call("INFO", "commandstats")
    found = 0
    for line in stats.decode().splitlines():
        name, _, figures = line.partition(":")
        if name.startswith("cmdstat_") and name != "cmdstat_info":
            found += int(figures.partition(",")[0].removeprefix("calls="))
    return found
