"""Sessions that nobody joins are short-lived and few for each address, so that nobody fills Redis with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.people import Api, movie
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until
from tests.harness.wire import wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH: Final = "/api/session/create"
LIFETIME: Final = 3600
UNJOINED: Final = 100
MOST: Final = 3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replica(redis: RedisServer) -> AsyncIterator[Here]:
    """A replica for which each address has three sessions."""
    limits: dict[str, Any] = {"unlimited_addresses": "10.9.0.0/16", "trusted_proxies": "127.0.0.0/8"}
    limits |= {"max_sessions_per_address": MOST, "unjoined_lifetime": UNJOINED, "create_budget": 1000}
    async with served_here(redis.url(), lifetime=LIFETIME, code_rest=0, **limits) as (started,):
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(replica: Here) -> AsyncIterator[Api]:
    opened = Api([replica])
    yield opened
    await opened.close()


async def create(api: Api, address: str = "10.9.1.1", key: str | None = None, **body: Any) -> httpx.Response:
    return await api.call("POST", PATH, headers={"X-Forwarded-For": address}, json=body, key=key)


def left(answer: httpx.Response) -> float:
    """Seconds from when the session was made to its end."""
    body = answer.json()
    ends, made = body["meta"]["expiresAt"], body["sessionData"]["createdAt"]
    return (datetime.fromisoformat(ends) - datetime.fromisoformat(made)).total_seconds()


async def state(api: Api, made: httpx.Response) -> httpx.Response:
    return await api.call("GET", f"/api/session/{made.json()['sessionID']}")


async def test_a_session_that_nobody_has_joined_lives_for_a_shorter_time(api: Api) -> None:
    made = await create(api)
    assert left(made) == UNJOINED
    path, token = f"/api/session/{made.json()['sessionID']}", made.json()["hostToken"]
    assert (await api.call("POST", path + "/movies", token=token, json=movie())).status_code == 200
    assert UNJOINED <= left(await state(api, made)) < UNJOINED + 60


async def test_the_first_who_joins_gives_the_session_its_full_lifetime(api: Api, replica: Here) -> None:
    made = await create(api)
    socket = await Socket.open(replica.url)
    await socket.emit("join-session", made.json()["sessionID"])
    await socket.emit("leave-session")
    await socket.close()
    assert left(await state(api, made)) >= LIFETIME


async def test_a_lifetime_that_was_asked_for_is_given_at_once(api: Api) -> None:
    assert left(await create(api, ttlSeconds=LIFETIME)) == LIFETIME
    made = await create(api)
    path, token = f"/api/session/{made.json()['sessionID']}", made.json()["hostToken"]
    await api.call("PATCH", path, token=token, json={"ttlSeconds": 900})
    assert 900 <= left(await state(api, made)) < 960


async def test_zero_switches_the_shorter_time_off_and_a_longer_one_changes_nothing(redis: RedisServer) -> None:
    for unjoined in (0, 2 * LIFETIME):
        async with served_here(redis.url(), lifetime=LIFETIME, unjoined_lifetime=unjoined) as started:
            api = Api(started)
            assert left(await create(api)) == LIFETIME
            await api.close()


async def test_an_address_has_so_many_live_sessions_and_no_more_at_once_or_in_turn(api: Api) -> None:
    address = "10.3.1.1"
    answers = await asyncio.gather(*(create(api, address) for _ in range(3 * MOST)))
    assert sorted(answer.status_code for answer in answers) == [201] * MOST + [429] * 2 * MOST
    refused = await create(api, address)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await create(api, "10.3.1.2")).status_code == 201


async def test_a_session_that_ended_makes_room_and_one_that_lives_on_does_not(
    api: Api, replica: Here, redis: RedisServer
) -> None:
    address = "10.3.2.1"
    made = [(await create(api, address)).json() for _ in range(MOST)]
    socket = await Socket.open(replica.url)
    await socket.emit("join-session", made[0]["sessionID"])
    await api.call("DELETE", f"/api/session/{made[1]['sessionID']}", token=made[1]["hostToken"])
    await redis.call("PEXPIRE", f"js:{{{made[2]['sessionID']}}}", 1)
    answers = [(await create(api, address)).status_code for _ in range(3)]
    assert answers == [201, 201, 429]
    await socket.close()


async def test_a_repeat_by_its_key_needs_no_room(api: Api) -> None:
    address = "10.3.3.1"
    answers = [await create(api, address, key="the-same-key-all-the-time") for _ in range(2 * MOST)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["sessionID"] for answer in answers}) == 1
    assert [(await create(api, address)).status_code for _ in range(MOST)] == [201] * (MOST - 1) + [429]


async def test_movies_given_at_create_are_counted_in_bytes(redis: RedisServer) -> None:
    given: dict[str, Any] = {
        "unlimited_addresses": "10.9.0.0/16",
        "max_sessions_per_address": 1000,
        "max_movies_bytes": 10_000_000,
    }
    async with served_here(redis.url(), movies_body_limit=10_000_000, **given) as started:
        api = Api(started)
        movies = [movie(overview="é" * 1000) for _ in range(500)]
        statuses = [(await create(api, movies=movies)).status_code for _ in range(6)]
        assert statuses == [201] * 4 + [429] * 2
        assert (await create(api)).status_code == 201
        await api.close()


async def test_what_is_kept_of_an_address_has_an_end_and_does_not_name_it(api: Api, redis: RedisServer) -> None:
    await create(api, "10.3.4.1")
    keys = [key.decode() for key in await redis.call("KEYS", "js:made:*")]
    assert keys
    assert all("10.3.4.1" not in key for key in keys)
    assert all([await redis.call("PTTL", key) > 0 for key in keys])


async def test_who_goes_away_while_a_session_is_made_takes_a_place_all_the_same(redis: RedisServer) -> None:
    async with (
        FaultProxy(redis.port) as way,
        served_here(f"redis://127.0.0.1:{way.port}", redis_timeout=5, unlimited_addresses="") as (started,),
    ):
        api = Api([started])
        assert (await create(api)).status_code == 201
        live, counted_before = await sessions(redis), (await named(redis), await redis.call("ZCARD", "js:sessions"))
        way.delay = 0.1
        async with wire(started.port) as connection:
            await connection.write("POST /api/session/create HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")

            async def made() -> bool:
                return await sessions(redis) == live + 1

            await until(made, "the session is made", timeout=5)

        async def counted() -> bool:
            now = await named(redis), await redis.call("ZCARD", "js:sessions")
            return now == (counted_before[0] + 1, counted_before[1] + 1)

        await until(counted, "it counts", timeout=5)
        await api.close()


async def sessions(redis: RedisServer) -> int:
    return sum(key.endswith(b"}") for key in await redis.call("KEYS", "js:{*}"))


async def named(redis: RedisServer) -> int:
    """How many of the places of addresses are those of sessions that were made."""
    keys = [key.decode() for key in await redis.call("KEYS", "js:made:*")]
    places = [place for key in keys for place in await redis.call("HVALS", key)]
    return sum(b" - " not in place for place in places)
