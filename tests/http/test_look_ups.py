"""Look-ups of codes are counted before they are made, and given back for a hit; good tokens need no budget."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.harness.people import Api, Made, movie
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN, Replica, replicas
from tests.harness.sockets import Socket
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUDGET: Final = 20
# Half of the way to a Redis that is 100 ms away.
FAR: Final = 0.05
SECRET: Final = "that of the deployment which is long enough"

_addresses = (f"10.2.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


class Deployment:
    """Three replicas behind a trusted proxy; Redis is behind a proxy that can delay and hold back."""

    def __init__(self, redis: RedisServer, way: FaultProxy, started: Sequence[Replica], api: Api) -> None:
        self.redis = redis
        self.way = way
        self.replicas = started
        self.api = api

    async def burst(self, address: str, codes: Sequence[str]) -> list[int]:
        """Asks for all codes at once, of all replicas in turn; the statuses in their order."""
        asked = zip(itertools.cycle(self.replicas), codes)
        return await asyncio.gather(*(ask(replica, address, code) for replica, code in asked))

    async def spend(self, address: str) -> None:
        """Has somebody behind the address miss until nothing is left."""
        headers = {"X-Forwarded-For": address}
        statuses = [(await self.api.join(UNKNOWN, headers=headers)).status_code for _ in range(BUDGET + 1)]
        assert statuses == [404] * BUDGET + [429]

    async def call(self, address: str, method: str, path: str, token: str | None = None, **options: Any) -> int:
        answer = await self.api.call(method, path, token=token, headers={"X-Forwarded-For": address}, **options)
        return answer.status_code

    async def counts(self) -> dict[str, tuple[str, int, int]]:
        """The type, number and time to live of each key of the budget of look-ups."""
        found = {}
        keys = await self.redis.call("KEYS", "js:misses:*") + await self.redis.call("KEYS", "js:looks:*")
        for key in [key.decode() for key in keys]:
            kind = (await self.redis.call("TYPE", key)).decode()
            if kind == "zset":
                number = await self.redis.call("ZCARD", key)
            else:
                number = int(await self.redis.call("GET", key) or 0)
            found[key] = kind, number, await self.redis.call("PTTL", key)
        return found

    async def under_way(self) -> int:
        return sum(number for kind, number, _ in (await self.counts()).values() if kind == "zset")

    async def forget(self) -> None:
        """A minute later."""
        for key in await self.counts():
            await self.redis.call("DEL", key)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployed() -> AsyncIterator[Deployment]:
    async with RedisServer() as redis, FaultProxy(redis.port) as way:
        url = f"redis://127.0.0.1:{way.port}"
        limits = {"miss_budget": BUDGET, "unlimited_addresses": "10.9.0.0/16", "trusted_proxies": "127.0.0.0/8"}
        async with replicas(url, 3, secret=SECRET, **limits) as started:
            api = Api(started)
            deployment = Deployment(redis, way, started, api)
            # From now on Redis knows the scripts: it cannot ask for them while its answers are held back.
            assert await deployment.burst(next(_addresses), unknown(1)) == [404]
            yield deployment
            await api.close()


@pytest_asyncio.fixture(loop_scope="session")
async def deployment(deployed: Deployment) -> AsyncIterator[Deployment]:
    await deployed.forget()
    yield deployed
    deployed.way.delay = 0
    deployed.way.thaw()


async def ask(replica: Replica, address: str, code: str) -> int:
    """The status of a join, by as little as hundreds at once may cost."""
    body = json.dumps({"sessionID": code}).encode()
    head = f"POST /api/session/join HTTP/1.1\r\nHost: here\r\nX-Forwarded-For: {address}\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    status = (await reader.readline()).split(b" ")[1]
    writer.close()
    return int(status)


async def made(deployment: Deployment, number: int) -> list[Made]:
    headers = {"X-Forwarded-For": "10.9.1.1"}
    answers = await asyncio.gather(
        *(deployment.api.call("POST", "/api/session/create", headers=headers) for _ in range(number))
    )
    bodies = [answer.json() for answer in answers]
    return [Made(body["sessionID"], body["hostToken"], body["sessionData"], body["meta"]) for body in bodies]


def unknown(number: int) -> list[str]:
    """So many different codes that no session will ever have."""
    digits = "23456789CF"
    return ["22" + "".join(digits[int(digit)] for digit in f"{place:08}") for place in range(number)]


async def test_a_burst_over_three_replicas_finds_no_more_than_the_budget(deployment: Deployment) -> None:
    live = [session.code for session in await made(deployment, 50)]
    deployment.way.delay = FAR
    statuses = await deployment.burst(next(_addresses), unknown(550) + live)
    assert Counter(statuses[:550])[404] <= BUDGET
    assert statuses[550:].count(200) <= BUDGET
    assert set(statuses) <= {200, 404, 429}


async def test_many_who_join_one_live_code_at_once_from_one_address_all_succeed(deployment: Deployment) -> None:
    (session,) = await made(deployment, 1)
    deployment.way.delay = FAR
    async with asyncio.timeout(10):
        assert await deployment.burst(next(_addresses), [session.code] * 200) == [200] * 200


async def test_more_live_codes_than_the_budget_at_once_are_all_found(deployment: Deployment) -> None:
    live = [session.code for session in await made(deployment, 3 * BUDGET)]
    assert await deployment.burst(next(_addresses), live) == [200] * len(live)
    await until_given_back(deployment)


async def test_who_waits_is_refused_as_soon_as_misses_alone_reach_the_budget(deployment: Deployment) -> None:
    address, (session,) = next(_addresses), await made(deployment, 1)
    deployment.way.freeze(answers_only=True)
    missing = asyncio.create_task(deployment.burst(address, unknown(BUDGET)))
    await until(lambda: all_counted(deployment, BUDGET), "the budget is reserved")
    waiting = asyncio.create_task(deployment.burst(address, [session.code] * 3))
    await until(lambda: all_counted(deployment, BUDGET + 1), "the look-ups that wait have come")
    deployment.way.thaw()
    assert await missing == [404] * BUDGET
    assert await waiting == [429] * 3


async def all_counted(deployment: Deployment, number: int) -> bool:
    return any(counted >= number for kind, counted, _ in (await deployment.counts()).values() if kind == "zset")


async def until_given_back(deployment: Deployment) -> None:
    async def nothing_left() -> bool:
        return await deployment.under_way() == 0

    await until(nothing_left, "what was reserved is given back")


async def test_giving_back_after_the_window_has_ended_leaves_nothing_behind(deployment: Deployment) -> None:
    (session,) = await made(deployment, 1)
    deployment.way.freeze(answers_only=True)
    asked = asyncio.create_task(deployment.burst(next(_addresses), [session.code]))
    await until(lambda: all_counted(deployment, 1), "the look-up is counted")
    await deployment.forget()
    deployment.way.thaw()
    assert await asked == [200]
    await deployment.burst(next(_addresses), unknown(1))
    for kind, number, left in (await deployment.counts()).values():
        assert number >= 0
        assert left > 0, kind


async def test_look_ups_of_a_replica_that_died_are_counted_no_longer_than_the_window(deployment: Deployment) -> None:
    deployment.way.freeze(answers_only=True)
    asked = asyncio.create_task(deployment.burst(next(_addresses), unknown(3)))
    await until(lambda: all_counted(deployment, 3), "the look-ups are counted")
    assert all(0 < left <= 60_000 for _, _, left in (await deployment.counts()).values())
    deployment.way.thaw()
    await asked


async def test_a_neighbour_who_has_spent_the_budget_does_not_lock_out_good_tokens(deployment: Deployment) -> None:
    address, (session,) = next(_addresses), await made(deployment, 1)
    await deployment.spend(address)
    for method, path, body in (
        ("PATCH", session.path, {"title": "Friday"}),
        ("POST", session.path + "/movies", movie("m1")),
        ("GET", session.path, None),
    ):
        assert await deployment.call(address, method, path, session.host_token, json=body) == 200
        assert await deployment.call(address, method, path, json=body) == 429
    socket = await Socket.open(deployment.replicas[1].url)
    assert (await socket.emit("join-session", session.code, {"token": session.host_token}))["ok"]
    await socket.close()


async def test_a_good_token_joins_past_the_budget_of_its_address_and_of_its_socket(deployment: Deployment) -> None:
    (session,) = await made(deployment, 1)
    newcomer = await Socket.open(deployment.replicas[0].url)
    token = (await newcomer.emit("join-session", session.code))["token"]
    await newcomer.emit("leave-session")
    for code in unknown(BUDGET):
        assert (await newcomer.emit("join-session", code))["code"] == "session-not-found"
    assert (await newcomer.emit("join-session", session.code))["code"] == "too-many-requests"
    assert (await newcomer.emit("join-session", session.code, {"token": token}))["ok"]
    await newcomer.close()


async def test_a_genuine_token_opens_no_way_to_try_other_codes(deployment: Deployment) -> None:
    address, (mine, *others) = next(_addresses), await made(deployment, 6)
    codes = unknown(BUDGET - 5)
    for path, status in [(other.path, 401) for other in others] + [(f"/api/session/{code}", 404) for code in codes]:
        assert await deployment.call(address, "PATCH", path, mine.host_token, json={"locked": True}) == status
    for path in (others[0].path, f"/api/session/{UNKNOWN}"):
        assert await deployment.call(address, "PATCH", path, mine.host_token, json={"locked": True}) == 429
        assert await deployment.call(address, "GET", path, mine.host_token) == 429
    assert await deployment.call(address, "PATCH", mine.path, mine.host_token, json={"locked": True}) == 200


async def test_a_token_of_an_ended_session_shows_and_spends_no_more_than_the_budget(deployment: Deployment) -> None:
    address, (ended, next_one) = next(_addresses), await made(deployment, 2)
    assert await deployment.call("10.9.1.1", "DELETE", ended.path, ended.host_token) == 200
    for method, body in (("GET", None), ("PATCH", {"locked": True})):
        await deployment.forget()
        asked = [await deployment.call(address, method, ended.path, ended.host_token, json=body) for _ in range(30)]
        assert asked == [404] * BUDGET + [429] * (30 - BUDGET)
        assert (await deployment.counts())["js:misses:all"][1] == BUDGET
    # The code is another session's by now, of which the token tells nothing.
    await deployment.redis.call("COPY", f"js:{{{next_one.code}}}", f"js:{{{ended.code}}}")
    for method, body in (("GET", None), ("PATCH", {"locked": True})):
        assert await deployment.call(address, method, ended.path, ended.host_token, json=body) == 429
    seen = {"X-Forwarded-For": address, "If-None-Match": "*"}
    assert (await deployment.api.call("GET", ended.path, token=ended.host_token, headers=seen)).status_code == 429
