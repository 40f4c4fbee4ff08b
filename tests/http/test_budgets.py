"""Budgets of failed look-ups: per address, per socket, for the whole deployment; who is believed to be whom."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.node import NodeClients
from tests.harness.people import Api, People
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUDGET = 10
TOTAL = 30
FREE = "10.9.0.0/16"
PROXY = "127.0.0.0/8, 192.0.2.0/24"
TOO_MANY = b'{"message":"Too many requests"}'

_addresses = (f"10.1.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


class Deployment:
    """Two replicas behind a trusted proxy, a third that trusts nobody, and their Redis."""

    def __init__(self, redis: RedisServer, api: Api, people: People) -> None:
        self.redis = redis
        self.api = api
        self.people = people

    async def miss(self, address: str, *, replica: int = 0, session_id: Any = UNKNOWN) -> Any:
        return await self.api.join(session_id, replica=replica, headers={"X-Forwarded-For": address})

    async def forget(self) -> None:
        """A minute later."""
        for key in await self.redis.call("KEYS", "js:misses:*"):
            await self.redis.call("DEL", key.decode())

    async def counted(self) -> int:
        """Failed look-ups of everybody."""
        return int(await self.redis.call("GET", "js:misses:all") or 0)

    async def commands(self) -> dict[str, int]:
        """How often the commands that look sessions up or count misses were executed."""
        stats = (await self.redis.call("INFO", "commandstats")).decode()
        calls = dict(line.split(":calls=") for line in stats.split() if ":calls=" in line)
        return {name: int(calls.get(f"cmdstat_{name}", "0").split(",")[0]) for name in ("hgetall", "incr", "get")}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployed(node: NodeClients) -> AsyncIterator[Deployment]:
    limits: dict[str, Any] = {
        "miss_budget": BUDGET,
        "miss_budget_total": TOTAL,
        "unlimited_addresses": FREE,
        "secret": "the secret of the whole deployment",
    }
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 2, trusted_proxies=PROXY, **limits) as behind,
        served_here(redis.url(), 1, **limits) as direct,
    ):
        replicas = [*behind, *direct]
        api, people = Api(replicas), People(node, replicas)
        yield Deployment(redis, api, people)
        await people.close()
        await api.close()


@pytest_asyncio.fixture(loop_scope="session")
async def deployment(deployed: Deployment) -> Deployment:
    """A minute in which nobody has failed yet."""
    await deployed.forget()
    return deployed


async def test_an_address_has_its_budget_on_all_replicas_together(deployment: Deployment) -> None:
    address = next(_addresses)
    answers = [await deployment.miss(address, replica=number % 2) for number in range(BUDGET + 1)]
    assert [answer.status_code for answer in answers] == [404] * BUDGET + [429]
    last = answers[-1]
    assert last.content == TOO_MANY
    assert last.headers["X-Error-Code"] == "too-many-requests"
    assert 1 <= int(last.headers["Retry-After"]) <= 60


async def test_whoever_is_over_the_budget_may_not_even_ask_for_what_exists(deployment: Deployment) -> None:
    made, address = await deployment.api.create(), next(_addresses)
    assert (await deployment.miss(address, session_id=made.code)).status_code == 200
    for _ in range(BUDGET):
        await deployment.miss(address)
    assert (await deployment.miss(address, session_id=made.code)).status_code == 429
    assert (await deployment.miss(next(_addresses), session_id=made.code)).status_code == 200


async def test_finding_a_session_costs_nothing(deployment: Deployment) -> None:
    made, address = await deployment.api.create(), next(_addresses)
    answers = [await deployment.miss(address, session_id=made.code) for _ in range(2 * BUDGET)]
    assert {answer.status_code for answer in answers} == {200}
    assert await deployment.counted() == 0


async def test_codes_that_an_address_had_found_may_be_missed_for_nothing(deployment: Deployment) -> None:
    """As when Redis loses its data: the people of an office share an address."""
    address, other = next(_addresses), next(_addresses)
    found = [await deployment.api.create() for _ in range(2 * BUDGET)]
    for made in found:
        assert (await deployment.miss(address, session_id=made.code)).status_code == 200
    await deployment.redis.call("FLUSHALL")
    answers = [await deployment.miss(address, session_id=made.code) for made in found]
    assert {answer.status_code for answer in answers} == {404}
    assert await deployment.counted() == 0
    assert (await deployment.miss(other, session_id=found[0].code)).status_code == 404
    assert await deployment.counted() == 1


@pytest.mark.parametrize("session_id", ["12345", "abcdef", "1" * 10_000, "١٢٣٤٥٦", 12345, "", None])
async def test_a_wrong_format_never_reaches_redis_and_counts_nowhere(deployment: Deployment, session_id: Any) -> None:
    address = next(_addresses)
    before = await deployment.commands()
    answers = [await deployment.miss(address, session_id=session_id) for _ in range(BUDGET + 5)]
    after = await deployment.commands()
    assert {answer.status_code for answer in answers} <= {400, 404}
    assert (after["hgetall"], after["incr"]) == (before["hgetall"], before["incr"])
    assert await deployment.counted() == 0


async def test_all_routes_that_name_a_session_share_the_budget(deployment: Deployment) -> None:
    address = {"X-Forwarded-For": next(_addresses)}
    path = f"/api/session/{UNKNOWN}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"locked": True}),
        ("DELETE", path, None),
        ("POST", path + "/movies", {"id": "a", "title": "A"}),
        ("DELETE", path + "/movies/a", None),
        ("PUT", path + "/movies/a/vote", {"rating": 5}),
        ("DELETE", path + "/movies/a/vote", None),
        ("DELETE", path + "/participants/a", None),
        ("POST", "/api/session/join", {"sessionID": UNKNOWN}),
    ]
    for number, (method, route, body) in enumerate(calls, start=1):
        answer = await deployment.api.call(method, route, headers=address, json=body)
        assert (answer.status_code, await deployment.counted()) == (404, number), (method, route)
    await deployment.miss(address["X-Forwarded-For"])
    for method, route, body in calls:
        answer = await deployment.api.call(method, route, headers=address, json=body)
        assert answer.status_code == 429, (method, route)


async def test_a_bad_token_counts_once_as_a_miss(deployment: Deployment) -> None:
    made = await deployment.api.create()
    address = {"X-Forwarded-For": next(_addresses)}
    bad = await deployment.api.call("DELETE", made.path, token="h.x.1.bad", headers=address)
    assert (bad.status_code, await deployment.counted()) == (401, 1)
    none = await deployment.api.call("DELETE", made.path, headers=address)
    assert (none.status_code, await deployment.counted()) == (401, 1)
    both = await deployment.api.call("DELETE", f"/api/session/{UNKNOWN}", token="h.x.1.bad", headers=address)
    assert (both.status_code, await deployment.counted()) == (404, 2)


async def test_a_token_of_another_session_counts_so_codes_cannot_be_tried_with_it(deployment: Deployment) -> None:
    mine, other = await deployment.api.create(), await deployment.api.create()
    headers = {"X-Forwarded-For": next(_addresses)}
    for path, status in ((other.path, 401), (f"/api/session/{UNKNOWN}", 404)):
        before = await deployment.counted()
        answer = await deployment.api.call("PATCH", path, token=mine.host_token, headers=headers, json={"locked": True})
        assert (answer.status_code, await deployment.counted()) == (status, before + 1)


async def test_events_share_the_budget_of_the_address(deployment: Deployment) -> None:
    made = await deployment.api.create()
    address = next(_addresses)
    client = await deployment.people.connect(extraHeaders={"X-Forwarded-For": address})
    for number in range(1, BUDGET + 1):
        ack = await client.emit("join-session", UNKNOWN, ack=True)
        assert (ack["code"], await deployment.counted()) == ("session-not-found", number)
    ack = await client.emit("join-session", made.code, ack=True)
    assert (ack["ok"], ack["code"], ack["retryable"]) == (False, "too-many-requests", True)
    assert 1 <= ack["retryAfter"] <= 60
    refused = client.named("error")[-1].data
    assert refused == {"message": "Too many requests", "code": "too-many-requests"}
    assert client.connected
    assert (await deployment.miss(address, replica=1)).status_code == 429


async def test_a_socket_has_a_budget_of_its_own(deployment: Deployment) -> None:
    client = await deployment.people.connect(extraHeaders={"X-Forwarded-For": next(_addresses)})
    for _ in range(BUDGET):
        await client.emit("join-session", UNKNOWN, ack=True)
        await deployment.forget()
    ack = await client.emit("join-session", UNKNOWN, ack=True)
    assert ack["code"] == "too-many-requests"


async def test_a_bad_token_in_an_event_counts(deployment: Deployment) -> None:
    made = await deployment.api.create()
    client = await deployment.people.connect(extraHeaders={"X-Forwarded-For": next(_addresses)})
    ack = await client.emit("join-session", made.code, {"token": "p.x.y.z"}, ack=True)
    assert (ack["code"], await deployment.counted()) == ("unauthorized", 1)


async def test_the_deployments_budget_shrinks_those_of_addresses_but_not_to_nothing(deployment: Deployment) -> None:
    made = await deployment.api.create()
    for _ in range(TOTAL // (BUDGET - 1) + 1):
        address = next(_addresses)
        for _ in range(BUDGET - 1):
            await deployment.miss(address)
    assert await deployment.counted() >= TOTAL
    newcomer = next(_addresses)
    assert (await deployment.miss(newcomer, session_id=made.code)).status_code == 200
    assert (await deployment.miss(newcomer)).status_code == 404
    assert (await deployment.miss(newcomer, session_id=made.code)).status_code == 429
    assert (await deployment.miss(next(_addresses), session_id=made.code)).status_code == 200


async def test_unlimited_addresses_have_no_budget(deployment: Deployment) -> None:
    answers = [await deployment.miss("10.9.1.1") for _ in range(2 * BUDGET)]
    assert {answer.status_code for answer in answers} == {404}
    assert await deployment.counted() == 0


async def test_the_last_address_that_no_trusted_proxy_has_is_the_clients(deployment: Deployment) -> None:
    address = next(_addresses)
    for spoofed in ("", "10.9.1.1, ", "203.0.113.9,10.9.1.1,", "nonsense, "):
        for behind in ("", ", 192.0.2.7", ", 192.0.2.7, 127.0.0.9"):
            await deployment.miss(spoofed + address + behind)
    assert (await deployment.miss(address)).status_code == 429
    assert (await deployment.miss(next(_addresses))).status_code == 404


async def test_several_forwarded_for_headers_are_one_list(deployment: Deployment) -> None:
    address = next(_addresses)
    for _ in range(BUDGET):
        await deployment.api._clients[0].post(
            "/api/session/join",
            json={"sessionID": UNKNOWN},
            headers=[("X-Forwarded-For", "10.9.1.1"), ("X-Forwarded-For", address)],
        )
    assert (await deployment.miss(address)).status_code == 429


async def test_nobody_is_believed_where_no_proxy_is_trusted(deployment: Deployment) -> None:
    answers = [await deployment.miss(next(_addresses), replica=2) for _ in range(BUDGET + 1)]
    assert [answer.status_code for answer in answers] == [404] * BUDGET + [429]
    assert (await deployment.miss("10.9.1.1", replica=2)).status_code == 429


async def test_addresses_are_not_stored_in_clear_and_counts_expire(deployment: Deployment) -> None:
    address = next(_addresses)
    await deployment.miss(address)
    keys = [key.decode() for key in await deployment.redis.call("KEYS", "js:misses:*")]
    assert len(keys) == 2
    assert not [key for key in keys if address in key]
    assert all([0 < await deployment.redis.call("PTTL", key) <= 60_000 for key in keys])
