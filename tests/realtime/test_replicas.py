"""Three replicas on one Redis: whoever is asked, the answer is the same; whoever acts, all members see it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.harness.people import TRANSPORTS, Api, People, movie

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_members_see_within_a_second_what_clients_of_other_replicas_cause(
    api: Api, people: People, transport: str
) -> None:
    made = await api.create(replica=0)
    members = [await people.join(made.code, replica=replica, transport=transport) for replica in range(3)]
    for actor in members:
        started = time.time()
        ack = await actor.do("add-movie", **movie())
        for member in members:
            await member.at(ack["version"])
            update = next(
                event for event in member.client.named("session-update") if event.args[1]["version"] >= ack["version"]
            )
            assert update.at - started < 1
    states = [await api.read(made.code, replica=replica) for replica in range(3)]
    assert len(states[0]["sessionData"]["movies"]) == 3
    assert [state["sessionData"] for state in states] == [states[0]["sessionData"]] * 3


async def test_created_through_one_joined_through_another_read_through_the_third(api: Api, people: People) -> None:
    made = await api.create(replica=0)
    person = await people.join(made.code, replica=1, name="Ada")
    read = await api.read(made.code, replica=2)
    assert [each["id"] for each in read["sessionData"]["participants"]] == [person.id]
    joined = await api.join(made.code, replica=0)
    assert joined.json()["sessionData"] == read["sessionData"]


async def test_changes_over_http_reach_the_sockets_of_all_replicas(api: Api, people: People) -> None:
    made = await api.create()
    members = [await people.join(made.code, replica=replica) for replica in range(3)]
    answer = await api.call("POST", f"{made.path}/movies", replica=1, token=members[2].token, json=movie("a"))
    rated = await api.call("PUT", f"{made.path}/movies/a/vote", replica=2, token=members[0].token, json={"rating": 5})
    assert (answer.status_code, rated.status_code) == (200, 200)
    for member in members:
        data = await member.at(rated.json()["version"])
        assert [(each["addedBy"], each["compatibility"]) for each in data["movies"]] == [(members[2].id, 100)]


async def test_versions_only_grow_and_updates_come_in_commit_order(api: Api, people: People) -> None:
    made = await api.create()
    members = [await people.join(made.code, replica=replica) for replica in range(3)]
    acks = await asyncio.gather(*(members[number % 3].do("add-movie", **movie(f"m{number}")) for number in range(30)))
    versions = sorted(ack["version"] for ack in acks)
    assert versions == list(range(versions[0], versions[0] + 30))
    for member in members:
        data = await member.at(versions[-1])
        assert len(data["movies"]) == 30
        seen = [event.args[1]["version"] for event in member.client.named("session-update")]
        assert seen == sorted(set(seen))


async def test_sessions_do_not_hear_of_each_other(api: Api, people: People) -> None:
    one, other = await api.create(title="one"), await api.create(title="other")
    members = [await people.join(made.code, replica=replica) for made in (one, other) for replica in range(3)]
    for member in members:
        ack = await member.do("add-movie", id=f"of-{member.code}-{member.id}", title="x")
        assert ack["ok"]
    for member in members:
        await member.client.until(lambda event: event.name == "session-update" and len(event.data["movies"]) == 3)
        for event in member.client.named("session-update"):
            assert event.args[1]["sessionID"] == member.code
            assert all(each["id"].startswith(f"of-{member.code}-") for each in event.data["movies"])


async def test_200_sockets_join_one_replica_at_once(api: Api, people: People) -> None:
    made = await api.create(capacity=200)
    clients = await asyncio.gather(*(people.connect() for _ in range(200)))
    acks = await asyncio.gather(*(client.emit("join-session", made.code, ack=True, timeout=20) for client in clients))
    assert {ack["ok"] for ack in acks} == {True}
    assert len({ack["participantID"] for ack in acks}) == 200
    read = await api.read(made.code, replica=1)
    assert len(read["sessionData"]["participants"]) == 200
    assert [each["role"] for each in read["sessionData"]["participants"]].count("host") == 1
