"""Attempts on what a session holds, and on how many sessions there are."""

from __future__ import annotations

import asyncio

import httpx

from tests.harness.people import movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []


@exceeds("Participants")
async def more_participants_than_the_capacity(redis: RedisServer) -> None:
    async with limited(redis, capacity=3) as replica:
        made = await replica.api.create()
        sockets = [await Socket.open(replica.here.url) for _ in range(5)]
        acks = [await socket.emit("join-session", made.code) for socket in sockets]
        assert [ack.get("code") for ack in acks] == [None] * 3 + ["session-full"] * 2
        assert len((await replica.api.read(made.code))["sessionData"]["participants"]) == 3
        for socket in sockets:
            await socket.close()


@exceeds("Capacity set by the creator or host")
async def a_larger_capacity(redis: RedisServer) -> None:
    async with limited(redis, max_capacity=5, capacity=5) as replica:
        answer = await replica.api.call("POST", "/api/session/create", json={"capacity": 6})
        assert refused(answer, 400, "invalid-payload")


@exceeds("Movies")
async def more_movies_than_allowed(redis: RedisServer) -> None:
    async with limited(redis, max_movies=3) as replica:
        made = await replica.api.create(movies=[movie() for _ in range(3)])
        answer = await replica.api.call("POST", f"{made.path}/movies", token=made.host_token, json=movie())
        assert refused(answer, 409, "limit-reached")
        assert len((await replica.api.read(made.code))["sessionData"]["movies"]) == 3


@exceeds("Bytes of movies")
async def larger_movies_than_allowed(redis: RedisServer) -> None:
    async with limited(redis, max_movies_bytes=2_000) as replica:
        made = await replica.api.create(movies=[movie(overview="x" * 900) for _ in range(2)])
        body = movie(overview="x" * 900)
        answer = await replica.api.call("POST", f"{made.path}/movies", token=made.host_token, json=body)
        assert refused(answer, 409, "limit-reached")


@exceeds("Live sessions")
async def more_sessions_than_the_deployment_holds(redis: RedisServer) -> None:
    async with limited(redis, max_sessions=3) as replica:
        for number in range(3):
            address = {"X-Forwarded-For": f"203.0.113.{number}"}
            assert (await replica.api.call("POST", "/api/session/create", headers=address)).status_code == 201
        answer = await replica.api.call("POST", "/api/session/create", headers={"X-Forwarded-For": "203.0.113.9"})
        assert refused(answer, 409, "limit-reached")


@exceeds("Sessions created")
async def more_sessions_in_a_minute_than_the_budget(redis: RedisServer) -> None:
    async with limited(redis, create_budget=3) as replica:
        answers = [await replica.api.call("POST", "/api/session/create", headers=replica.headers) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201] * 3 + [429]


@exceeds("Request bodies")
async def a_larger_body(redis: RedisServer) -> None:
    async with limited(redis, body_limit=1_000) as replica:
        answer = await replica.api.call("POST", "/api/session/join", content=b" " * 1_001)
        assert refused(answer, 413, "payload-too-large")


@exceeds("Request bodies with movies")
async def a_larger_body_with_movies(redis: RedisServer) -> None:
    async with limited(redis, body_limit=1_000, movies_body_limit=2_000) as replica:
        answer = await replica.api.call("POST", "/api/session/create", content=b" " * 2_001)
        assert refused(answer, 413, "payload-too-large")


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    return (answer.status_code, answer.headers["X-Error-Code"]) == (status, code)


@exceeds("Live sessions created by an address")
async def more_sessions_than_an_address_may_have(redis: RedisServer) -> None:
    async with limited(redis, max_sessions_per_address=2) as replica:
        creating = (replica.api.call("POST", "/api/session/create", headers=replica.headers) for _ in range(6))
        statuses = [answer.status_code for answer in await asyncio.gather(*creating)]
        assert sorted(statuses) == [201] * 2 + [429] * 4


@exceeds("Bytes of movies given at `create` to the live sessions of an address")
async def more_movies_given_than_an_address_may_have(redis: RedisServer) -> None:
    async with limited(redis, movies_body_limit=10_000_000, max_movies_bytes=10_000_000) as replica:
        body = {"movies": [movie(overview="é" * 1000) for _ in range(500)]}
        answers = [
            await replica.api.call("POST", "/api/session/create", headers=replica.headers, json=body) for _ in range(5)
        ]
        assert [answer.status_code for answer in answers] == [201] * 4 + [429]


@exceeds("Lifetime of a session that nobody has joined")
async def sessions_that_nobody_joins(redis: RedisServer) -> None:
    async with limited(redis, unjoined_lifetime=100) as replica:
        made = await replica.api.create()
        await replica.api.call("PATCH", made.path, token=made.host_token, json={"title": "still here"})
        assert 0 < await redis.call("PTTL", f"js:{{{made.code}}}") <= 100_000
