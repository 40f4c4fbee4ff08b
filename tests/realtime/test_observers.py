"""Sockets that only watch: they see what members see, and are nobody in the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import pytest_asyncio
from prometheus_client import generate_latest

from app.sessions.operations import EVENTS, Change
from tests.harness.here import Here, served_here
from tests.harness.people import Api, Made, People, Person, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WATCHING: Final = {"observe": True}

# Of each change a payload that is right.
PAYLOADS: Final[dict[str, Any]] = {
    "decide": {"movieID": "m1"},
    "reopen": {},
    "add-movie": {"id": "m2", "title": "B"},
    "remove-movie": {"movieID": "m1"},
    "vote": {"movieID": "m1", "rating": 5},
    "withdraw-vote": {"movieID": "m1"},
    "rename-participant": {"name": "Ada"},
    "update-session": {"title": "x"},
    "kick-participant": {"participantID": "p"},
    "transfer-host": {"participantID": "p"},
    "rotate-host-token": {},
    "end-session": {},
}


@asynccontextmanager
async def observing(url: str, code: str, **options: Any) -> AsyncIterator[tuple[Socket, dict[str, Any]]]:
    socket = await Socket.open(url)
    try:
        ack = await socket.emit("join-session", code, WATCHING | options)
        assert ack["ok"], ack
        yield socket, ack
    finally:
        await socket.close()


async def observers(api: Api, made: Made) -> int:
    meta: dict[str, Any] = (await api.read(made.code))["meta"]
    return int(meta["observers"])


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_an_observer_gets_updates_and_is_nobody(api: Api, people: People, transport: str) -> None:
    made = await api.create(movies=[movie("m1")])
    client = await people.connect(replica=1, transport=transport)
    ack = await client.emit("join-session", made.code, WATCHING, ack=True)
    assert ack == {
        "ok": True,
        "now": ack["now"],
        "version": made.meta["version"] + 1,
        "sessionID": made.code,
        "participantID": "",
        "token": "",
        "votes": {},
    }
    assert (await client.next("joined-session")).data == {"sessionID": made.code}
    first = await client.next("session-update")
    assert (first.data["participants"], first.args[1]["people"], first.args[1]["observers"]) == ([], 0, 1)
    person = await people.join(made.code, name="Ada")
    assert (await person.client.next("session-update")).args[1]["observers"] == 1
    voted = await person.do("vote", movieID="m1", rating=5)
    seen = await Person(client, ack | {"participantID": ""}).at(voted["version"])
    assert (seen["movies"][0]["count"], [each["name"] for each in seen["participants"]]) == (1, ["Ada"])
    assert seen["participants"][0]["role"] == "host"


async def test_an_observer_changes_nothing(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1")])
    client = await people.connect()
    await client.emit("join-session", made.code, WATCHING | {"token": made.host_token}, ack=True)
    before = (await api.read(made.code))["meta"]["version"]
    changes = {name for name, row in EVENTS.items() if isinstance(row, Change)} - {"leave-session"}
    assert changes <= PAYLOADS.keys()
    for event in changes:
        for payload in (PAYLOADS[event], PAYLOADS[event] | {"mid": "k"}):
            refused = await client.emit(event, payload, ack=True)
            assert (refused["ok"], refused["code"]) == (False, "not-joined"), event
    assert (await api.read(made.code))["meta"]["version"] == before


async def test_a_session_that_ends_says_so_to_its_observers(api: Api, people: People) -> None:
    made = await api.create()
    client = await people.connect(replica=1)
    await client.emit("join-session", made.code, WATCHING, ack=True)
    await api.call("DELETE", made.path, token=made.host_token)
    ended = (await client.until(lambda event: event.name == "session-ended")).data
    assert ended == {"sessionID": made.code, "reason": "ended"}
    assert (await client.next("error")).data["code"] == "session-not-found"


async def test_one_socket_becomes_an_observer_and_a_participant_again(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1")])
    person = await people.join(made.code, name="Ada")
    await person.do("vote", movieID="m1", rating=5)
    client = person.client
    ack = await client.emit("join-session", made.code, WATCHING, ack=True)
    read = await api.read(made.code)
    assert (read["sessionData"]["participants"], read["meta"]["observers"]) == ([], 1)
    assert read["sessionData"]["movies"][0]["count"] == 0, "leaving takes the ratings along"
    assert (await person.do("vote", movieID="m1", rating=5))["code"] == "not-joined"
    again = await client.emit("join-session", made.code, WATCHING, ack=True)
    assert again == ack | {"now": again["now"]}
    back = await client.emit("join-session", made.code, {"name": "Bob"}, ack=True)
    assert back["participantID"] not in ("", person.id)
    read = await api.read(made.code)
    assert [each["name"] for each in read["sessionData"]["participants"]] == ["Bob"]
    assert read["meta"]["observers"] == 0
    assert (await person.do("vote", movieID="m1", rating=4))["ok"]


async def test_an_observer_leaves_for_another_session_and_for_good(api: Api, people: People) -> None:
    first, second = await api.create(), await api.create()
    client = await people.connect()
    await client.emit("join-session", first.code, WATCHING, ack=True)
    await client.emit("join-session", second.code, WATCHING, ack=True)

    async def moved() -> bool:
        return [await observers(api, made) for made in (first, second)] == [0, 1]

    await until(moved, "the observer has moved")
    left = await client.emit("leave-session", {"mid": "k"}, ack=True)
    assert (left["ok"], await observers(api, second)) == (True, 0)
    assert (await client.emit("leave-session", {"mid": "k"}, ack=True))["version"] == left["version"]
    assert (await client.emit("leave-session", ack=True))["code"] == "not-joined"


async def test_observers_are_refused_by_the_lock_and_beyond_twenty(api: Api, people: People) -> None:
    made = await api.create()
    client = await people.connect()
    for _ in range(20):
        socket = await people.connect()
        assert (await socket.emit("join-session", made.code, WATCHING, ack=True))["ok"]
    refused = await client.emit("join-session", made.code, WATCHING, ack=True)
    assert (refused["code"], await observers(api, made)) == ("limit-reached", 20)
    await api.call("PATCH", made.path, token=made.host_token, json={"locked": True})
    refused = await client.emit("join-session", made.code, WATCHING, ack=True)
    assert refused["code"] == "session-locked"
    assert (await people.join(made.code, token=made.host_token)).id


@pytest_asyncio.fixture(loop_scope="session")
async def two() -> AsyncIterator[list[Here]]:
    async with RedisServer() as redis, served_here(redis.url(), 2, grace=60) as replicas:
        yield replicas


async def test_patches_reach_observers_who_take_them(two: list[Here]) -> None:
    api = Api(two)
    made = await api.create(movies=[movie(f"m{number}") for number in range(5)])
    async with observing(two[0].url, made.code, patches=True) as (socket, ack):
        await socket.at_version(ack["version"])
        changed = await api.call("PATCH", made.path, token=made.host_token, replica=1, json={"title": "Friday"})
        await socket.at_version(changed.json()["version"])
        assert (len(socket.patches), socket.meta["title"]) == (1, "Friday")
        async with observing(two[1].url, made.code) as (_, other):
            await socket.at_version(other["version"])
            assert socket.meta["observers"] == 2
    await api.close()


@pytest.mark.parametrize("missed", [False, True])
async def test_a_recovery_id_goes_on_observing_at_any_replica(two: list[Here], missed: bool) -> None:
    api = Api(two)
    made = await api.create(movies=[movie("m1")])
    async with observing(two[0].url, made.code, patches=True) as (socket, ack):
        await socket.at_version(ack["version"])
        await socket.drop()
    await until(lambda: _is(observers(api, made), 0), "the observer is gone")
    offset = "x-1" if missed else socket.offset
    back = await Socket.open(two[1].url, {"pid": socket.pid, "offset": offset})
    assert (back.pid == socket.pid) != missed
    await until(lambda: _is(observers(api, made), 1), "it observes again")
    changed = await api.call("PATCH", made.path, token=made.host_token, json={"title": "Friday"})
    assert (await back.at_version(changed.json()["version"]))["participants"] == []
    assert (await back.emit("vote", {"movieID": "m1", "rating": 5}))["code"] == "not-joined"
    await back.emit("leave-session")
    gone = await Socket.open(two[0].url, {"pid": back.pid, "offset": back.offset})
    assert gone.pid != back.pid
    assert await observers(api, made) == 0
    await gone.close()
    await back.close()
    await api.close()


async def test_observers_are_members_but_no_participants_in_the_metrics(two: list[Here]) -> None:
    api = Api(two)
    made = await api.create()
    async with observing(two[0].url, made.code), observing(two[0].url, made.code):
        metrics = generate_latest(two[0].replica.metrics.registry).decode()
        assert "join_session_members 2.0" in metrics
        assert "join_session_participants 0.0" in metrics
    await api.close()


async def _is(number: Any, expected: int) -> bool:
    return bool(await number == expected)
