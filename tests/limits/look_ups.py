"""Attempts on the budgets of failed look-ups."""

from __future__ import annotations

import asyncio

from app.sessions.found_codes import FoundCodes
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN
from tests.harness.sockets import Socket
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []


@exceeds("Failed look-ups of an address")
async def a_burst_of_guesses(redis: RedisServer) -> None:
    async with limited(redis, miss_budget=3) as replica:
        guesses = (replica.api.join(UNKNOWN, headers=replica.headers) for _ in range(20))
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert sorted(statuses) == [404] * 3 + [429] * 17


@exceeds("Codes that an address has found, and may fail to find later for nothing")
async def many_codes_that_were_found(redis: RedisServer) -> None:
    found = FoundCodes()
    for number in range(10_001):
        found.add("address", str(number), now=number)
    assert [found.has("address", str(number), now=10_000) for number in (0, 9400, 9401, 10_000)] == [
        False,
        False,
        True,
        True,
    ]
    assert not found.has("another", "10000", now=10_000)
    assert found.has("address", "1", now=0)
    found.add("address", "more", now=10_000)
    assert not found.has("address", "1", now=0)


@exceeds("Failed look-ups of a socket")
async def guesses_of_a_socket(redis: RedisServer) -> None:
    async with limited(redis, miss_budget=3) as replica:
        socket = await Socket.open(replica.here.url)
        codes = []
        for _ in range(4):
            codes.append((await socket.emit("join-session", UNKNOWN))["code"])
            await redis.call("FLUSHALL")
        assert codes == ["session-not-found"] * 3 + ["too-many-requests"]
        await socket.close()


@exceeds("Failed look-ups of all addresses; above this, each address has a tenth of its own limit")
async def guesses_from_many_addresses(redis: RedisServer) -> None:
    async with limited(redis, miss_budget=10, miss_budget_total=20) as replica:
        addresses = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(10)]
        guesses = (replica.api.join(UNKNOWN, headers=headers) for headers in addresses for _ in range(10))
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert 20 <= statuses.count(404) <= 20 + len(addresses)
