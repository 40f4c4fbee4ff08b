"""One deadline for each request and event: a Redis that is slow at every command makes nobody wait for their sum."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.people import Api, Made, movie
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.sockets import open_sockets
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_DEADLINE: Final = 2.0
# What is left of it is for a machine that is busy.
_TIMEOUT: Final = 1.2
# Each way: a command is answered after twice as long.
_DELAY: Final = 0.4
_SHORT: Final = 0.3
_FAILED: Final = ("unavailable", "outcome-unknown")


@dataclass
class Slow:
    """A replica on a Redis whose answers can be made slow; loopback has budgets, so they are counted, too."""

    redis: RedisServer
    link: FaultProxy
    replica: Here
    api: Api

    async def subscriptions(self) -> int:
        return len(await self.redis.call("PUBSUB", "SHARDCHANNELS"))

    async def registered(self) -> int:
        """In how many sessions the replicas say that they have connections."""
        registries = await self.redis.call("KEYS", "js:replica:*:codes")
        return sum([await self.redis.call("SCARD", registry) for registry in registries])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def slow() -> AsyncIterator[Slow]:
    async with RedisServer() as redis, FaultProxy(redis.port) as link:
        url = f"redis://127.0.0.1:{link.port}"
        async with served_here(url, grace=0.2, redis_timeout=_TIMEOUT, unlimited_addresses="") as [replica]:
            api = Api([replica])
            yield Slow(redis, link, replica, api)
            await api.close()


async def in_time(answer: Awaitable[Any]) -> Any:
    started = time.monotonic()
    given = await answer
    took = time.monotonic() - started
    assert took < _DEADLINE, f"{took:.1f} s"
    return given


def requests(made: Made) -> dict[str, tuple[str, str, dict[str, Any], tuple[str, ...]]]:
    """Method, path, options and the codes of the refusals that are right, by name."""
    token = made.host_token
    changing = {"token": token, "key": "a-key-of-this-one-request"}
    return {
        "join": ("POST", "/api/session/join", {"json": {"sessionID": made.code}}, ("join-failed",)),
        "unknown": ("GET", "/api/session/2222222222", {}, ("unavailable", "session-not-found")),
        "read": ("GET", made.path, {}, ("unavailable",)),
        "create": ("POST", "/api/session/create", {}, _FAILED),
        "create once": ("POST", "/api/session/create", {"key": "a-key-of-this-one-request"}, _FAILED),
        "bad token": ("PATCH", made.path, {"token": "none", "json": {"title": "x"}}, ("unauthorized", *_FAILED)),
        "update": ("PATCH", made.path, {**changing, "json": {"title": "x"}}, _FAILED),
        "add": ("POST", f"{made.path}/movies", {"token": token, "json": movie("added")}, _FAILED),
        "end": ("DELETE", made.path, {"token": token}, _FAILED),
    }


async def test_http_requests_are_answered_in_time_by_a_redis_that_is_slow_at_every_command(slow: Slow) -> None:
    made = requests(await slow.api.create(movies=[movie("m")]))
    slow.link.delay = _DELAY
    asked = [in_time(slow.api.call(method, path, **options)) for method, path, options, _ in made.values()]
    answers = await asyncio.gather(*asked)
    slow.link.delay = 0
    for (*_, refusals), answer in zip(made.values(), answers, strict=True):
        assert answer.is_success or answer.headers["X-Error-Code"] in refusals, answer.text


async def test_events_are_acknowledged_in_time_by_a_redis_that_is_slow_at_every_command(slow: Slow) -> None:
    made, other = await slow.api.create(movies=[movie("m")]), await slow.api.create()
    events: list[tuple[Any, ...]] = [
        ("vote", {"movieID": "m", "rating": 5, "mid": "one"}),
        ("add-movie", {**movie("added"), "mid": "two"}),
        ("update-session", {"title": "x", "mid": "three"}),
        ("leave-session", {"mid": "four"}),
        ("join-session", other.code),
        ("join-session", made.code),
        ("join-session", "2222222222"),
    ]
    async with open_sockets([slow.replica.url], len(events)) as sockets:
        for socket in sockets[:5]:
            assert (await socket.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        slow.link.delay = _DELAY
        asked = [in_time(socket.emit(*event)) for socket, event in zip(sockets, events, strict=True)]
        acks = await asyncio.gather(*asked)
        slow.link.delay = 0
    for (event, *_), ack in zip(events, acks, strict=True):
        refusals = ("join-failed", "session-not-found") if event == "join-session" else _FAILED
        assert ack["ok"] or ack["code"] in refusals, ack
    await nothing_is_left(slow, made, other)


async def nothing_is_left(slow: Slow, *sessions: Made) -> None:
    async def nobody() -> bool:
        states = [await slow.api.read(made.code) for made in sessions]
        return not any(state["sessionData"]["participants"] for state in states)

    async def silence() -> bool:
        return not await slow.subscriptions() and not await slow.registered()

    await until(nobody, "whoever joined is gone")
    await until(silence, "the replica has left the sessions")


async def test_joins_that_were_given_up_leave_no_subscription(slow: Slow) -> None:
    """The replica goes on entering the session when nobody waits for it any more."""
    made = await slow.api.create()
    async with open_sockets([slow.replica.url], 5) as sockets:
        slow.link.delay = 1.5 * _DELAY
        acks = await in_time(asyncio.gather(*(socket.emit("join-session", made.code) for socket in sockets)))
        slow.link.delay = 0
    assert {ack["code"] for ack in acks} == {"join-failed"}
    await nothing_is_left(slow, made)


async def test_a_body_that_comes_slowly_takes_no_time_from_redis(slow: Slow) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(2 * _SHORT)
        yield b"}"

    async with served_here(slow.redis.url(), redis_timeout=_SHORT) as replicas:
        api = Api(replicas)
        assert (await api.call("POST", "/api/session/create", content=slowly())).status_code == 201
        await api.close()
