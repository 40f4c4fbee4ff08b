"""Attempts by way of a replica that does not have the client's connection, and on keys."""

from __future__ import annotations

import asyncio
import secrets
import time

import httpx

from app.forwarding.sender import new_engine_sid
from tests.harness.foreign import ADDRESSES, CONTINUE, POLL, Pair, forwarded_for, pair_of, posting
from tests.harness.redis import RedisServer
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []


@exceeds("Forwarded request bodies")
async def two_bodies_at_a_time(redis: RedisServer) -> None:
    async with pair_of(redis.url()) as pair:
        sid = await pair.handshake()
        async with posting(pair.other, sid, 2, expect=True) as first:
            # The owner has accepted it: without waiting for that the other one may be the first.
            assert await first.head() == CONTINUE
            async with posting(pair.other, sid, 2) as second:
                await second.send(b"40")
                assert await second.status() == 400
            assert await first.status() == 400
        assert await pair.is_gone(sid)


@exceeds("Duration of a forwarded request")
async def a_body_that_does_not_come(redis: RedisServer) -> None:
    async with pair_of(redis.url(), ping_interval=0.5, ping_timeout=0.5) as pair:
        sid = await pair.handshake()
        async with posting(pair.other, sid, 200_000) as request:
            await request.send(b"4")
            assert await request.status() == 400
        assert await pair.is_gone(sid)


@exceeds("Forwarded requests of an address")
async def requests_of_one_address(redis: RedisServer) -> None:
    async with pair_of(redis.url(), max_connections_per_address=1) as pair:
        address = next(ADDRESSES)
        await _third_request(pair, address, address, 429)


@exceeds("Forwarded requests")
async def requests_of_many_addresses(redis: RedisServer) -> None:
    async with pair_of(redis.url(), max_connections=1) as pair:
        await _third_request(pair, next(ADDRESSES), next(ADDRESSES), 503)


async def _third_request(pair: Pair, poster: str, poller: str, refusal: int) -> None:
    """One connection may have two requests under way: a POST, and a poll; two more polls are refused, and only they."""
    sid = await pair.handshake(poster)
    async with (
        posting(pair.other, sid, 2, address=poster, expect=True) as first,
        httpx.AsyncClient(trust_env=False, headers=forwarded_for(poller)) as client,
    ):
        assert await first.head() == CONTINUE
        # Whichever comes first is the second request under way, until a heartbeat answers it.
        polls = await asyncio.gather(*(client.get(f"{pair.other.url}{POLL}&sid={sid}") for _ in range(3)))
        assert sorted(poll.status_code for poll in polls) == [200, refusal, refusal]
        await first.send(b"40")
        assert await first.status() == 200


@exceeds("Look-ups of unknown replicas in Redis")
async def polls_for_replicas_that_nobody_knows(redis: RedisServer) -> None:
    async with limited(redis) as replica, httpx.AsyncClient(trust_env=False) as client:
        before, started = await _looks(redis), time.monotonic()
        urls = [f"{replica.here.url}{POLL}&sid={new_engine_sid(secrets.token_hex(6))}" for _ in range(60)]
        await asyncio.gather(*(client.get(url) for url in urls))
        # Some more of the replica's own.
        assert await _looks(redis) - before <= 3 + 5 * (time.monotonic() - started)


async def _looks(redis: RedisServer) -> int:
    """How often the list of replicas was read."""
    stats = str(await redis.call("INFO", "commandstats"))
    return int(stats.partition("cmdstat_zrange:calls=")[2].split(",")[0] or 0)


@exceeds("Wrong create keys and operators' tokens")
async def guesses_at_the_create_key(redis: RedisServer) -> None:
    async with limited(redis, create_key="only-for-friends") as replica:
        for status in [401] * 10 + [429] * 2:
            answer = await replica.api.call("POST", "/api/session/create", token="wrong", headers=replica.headers)
            assert answer.status_code == status
