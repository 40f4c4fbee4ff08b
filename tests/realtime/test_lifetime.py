"""How sessions end: by time, by the host; who is told, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.node import NodeClients
from tests.harness.people import Api, People, movie
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_FOUND = {"message": "Session not found or has expired", "code": "session-not-found"}
LIFETIME = 1.5
DEADLINE = 4.0
WARNING = 2.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def short(node: NodeClients) -> AsyncIterator[tuple[Api, People]]:
    """Two replicas whose sessions live 1.5 s without anybody there, and 4 s at the most."""
    limits: dict[str, Any] = {"lifetime": LIFETIME, "max_lifetime": DEADLINE, "expiry_warning": WARNING, "code_rest": 5}
    async with RedisServer() as redis, served_here(redis.url(), 2, **limits) as started:
        api, people = Api(started), People(node, started)
        yield api, people
        await people.close()
        await api.close()


def seconds_left(timestamp: str) -> float:
    return (datetime.fromisoformat(timestamp) - datetime.now(UTC)).total_seconds()


async def gone(api: Api, code: str) -> None:
    async def unknown() -> bool:
        return (await api.call("GET", f"/api/session/{code}")).status_code == 404

    await until(unknown, "the session has ended")


async def test_a_session_without_anybody_ends_by_time(short: tuple[Api, People]) -> None:
    api, _ = short
    made = await api.create()
    assert 0 < seconds_left(made.meta["expiresAt"]) <= LIFETIME
    await gone(api, made.code)
    assert (await api.join(made.code)).content == b'{"message":"Session not found or has expired"}'


async def test_joining_over_http_and_reading_do_not_extend_the_lifetime(short: tuple[Api, People]) -> None:
    api, _ = short
    made = await api.create()
    while (answer := await api.join(made.code)).status_code == 200:
        read = await api.call("GET", made.path)
        assert read.status_code == 404 or read.json()["meta"]["expiresAt"] == made.meta["expiresAt"]
    assert answer.status_code == 404


async def test_presence_extends_the_lifetime_without_a_commit_up_to_the_deadline(short: tuple[Api, People]) -> None:
    """Each client is warned once and hears of the end once, on every replica."""
    api, people = short
    made = await api.create()
    members = [await people.join(made.code, replica=number % 2) for number in range(4)]
    version = members[-1].ack["version"]
    warnings = [await member.client.next("session-expiring", DEADLINE) for member in members]
    deadline = warnings[0].data["expiresAt"]
    assert {(event.data["sessionID"], event.data["expiresAt"]) for event in warnings} == {(made.code, deadline)}
    assert seconds_left(deadline) <= WARNING
    assert (await api.read(made.code))["meta"]["version"] == version
    ends = [await member.client.next("session-ended") for member in members]
    assert seconds_left(deadline) <= 0.1
    assert {(event.data["sessionID"], event.data["reason"]) for event in ends} == {(made.code, "expired")}
    for member in members:
        assert (await member.client.next("error")).data == NOT_FOUND
        assert (await member.do("vote", movieID="a", rating=5))["code"] == "not-joined"
        names = [event.name for event in member.client.events]
        assert (names.count("session-expiring"), names.count("session-ended"), names.count("error")) == (1, 1, 1)
        assert names.index("session-expiring") < names.index("session-ended") < names.index("error")
        assert member.client.connected


async def test_changes_extend_the_lifetime(short: tuple[Api, People]) -> None:
    api, _ = short
    made = await api.create()
    await asyncio.sleep(LIFETIME / 3)
    answer = await api.call("PATCH", made.path, token=made.host_token, json={"title": "x"})
    assert answer.status_code == 200
    assert (await api.read(made.code))["meta"]["expiresAt"] > made.meta["expiresAt"]


async def test_the_host_extends_up_to_the_maximum(api: Api, people: People) -> None:
    made = await api.create(ttlSeconds=60)
    host = await people.join(made.code)
    ack = await host.do("update-session", ttlSeconds=7000)
    assert ack["ok"]
    meta = (await api.read(made.code))["meta"]
    assert 6900 < seconds_left(meta["expiresAt"]) <= 7000
    answer = await api.call("PATCH", made.path, token=host.token, json={"ttlSeconds": 86_401})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")


async def test_an_extension_ends_at_the_deadline(short: tuple[Api, People]) -> None:
    api, _ = short
    made = await api.create()
    await api.call("PATCH", made.path, token=made.host_token, json={"ttlSeconds": DEADLINE})
    await asyncio.sleep(0.3)
    await api.call("PATCH", made.path, token=made.host_token, json={"title": "later"})
    expires_at = (await api.read(made.code))["meta"]["expiresAt"]
    created_at = datetime.fromisoformat(made.data["createdAt"])
    assert (datetime.fromisoformat(expires_at) - created_at).total_seconds() == DEADLINE


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_the_host_ends_a_session_and_each_client_hears_it_once(api: Api, people: People, transport: str) -> None:
    made = await api.create(movies=[movie("a")])
    host = await people.join(made.code, token=made.host_token)
    guests = [await people.join(made.code, replica=replica) for replica in (0, 1, 2)]
    if transport == "http":
        answer = await api.call("DELETE", made.path, token=made.host_token, replica=2)
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
    else:
        assert (await host.do("end-session"))["ok"]
    for member in (host, *guests):
        assert await member.ended() == {"sessionID": made.code, "reason": "ended"}
        assert (await member.client.next("error")).data == NOT_FOUND
        assert member.client.connected
        ack = await member.client.emit("join-session", made.code, ack=True)
        assert ack["code"] == "session-not-found"
        names = [event.name for event in member.client.events]
        assert names.count("session-ended") == 1
        assert "session-expiring" not in names
    for replica in (0, 1, 2):
        assert (await api.join(made.code, replica=replica)).status_code == 404
        assert (await api.call("PATCH", made.path, token=made.host_token, json={"locked": True})).status_code == 404


async def test_after_the_end_a_socket_can_join_another_session(api: Api, people: People) -> None:
    made, other = await api.create(), await api.create()
    host = await people.join(made.code)
    await host.do("end-session")
    await host.ended()
    assert (await host.client.emit("join-session", other.code, ack=True))["ok"]
    change = await host.do("update-session", title="here")
    assert change["ok"]
    await host.at(change["version"])


async def test_update_session_changes_only_what_is_given(api: Api, people: People) -> None:
    made = await api.create(title="Friday", capacity=7)
    host, guest = await people.join(made.code), await people.join(made.code, replica=1)
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"title": "Saturday"}, {"title": "Saturday", "capacity": 7, "locked": False}),
        ({"capacity": 9}, {"title": "Saturday", "capacity": 9, "locked": False}),
        ({"locked": True}, {"title": "Saturday", "capacity": 9, "locked": True}),
        ({"title": None, "locked": False}, {"title": None, "capacity": 9, "locked": False}),
        ({"title": "x", "capacity": 1}, {"title": "x", "capacity": 1, "locked": False}),
        ({"title": ""}, {"title": None, "capacity": 1, "locked": False}),
    ]
    for change, expected in steps:
        ack = await host.do("update-session", **change)
        assert ack["ok"]
        await guest.at(ack["version"])
        meta = guest.client.named("session-update")[-1].args[1]
        assert {name: meta[name] for name in expected} == expected
