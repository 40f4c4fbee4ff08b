"""What is remembered of recovery ids and of those who have gone: enough to let the right ones back, and no more."""

from __future__ import annotations

import re

import pytest

from app.redis_client.reply import integer, text, texts
from app.sessions.errors import SessionError
from tests.harness.keys import KEYS
from tests.steps.room import Room

CAPACITY = 5


async def known(room: Room) -> dict[str, list[str]]:
    """The recovery ids that are known of each participant, oldest first."""
    links = await room.fields("connections")
    return {name[2:]: ids.split() for name, ids in links.items() if name.startswith("i:")}


async def counted(room: Room) -> int:
    return int((await room.fields("connections"))["ids"])


async def former(room: Room) -> list[str]:
    """Those who have gone, who is forgotten first in front; for each of them there is a record."""
    names = texts(await room.redis.execute("ZRANGE", f"{KEYS.session(room.code)}:former", 0, -1))
    assert {f"f:{name}" for name in names} == {name for name in await room.fields("connections") if name[:2] == "f:"}
    return names


async def come_and_go(room: Room, *people: str, leave: bool = True) -> None:
    for person in people:
        await room.join(person)
        if leave:
            await room.leave(person)
        else:
            assert await room.lose(person) == 1


async def milliseconds_left(room: Room, recovery: str) -> int:
    """For how long what points to the session from a recovery id is kept; -2: it is gone."""
    await room.sessions.close()
    return integer(await room.redis.execute("PTTL", KEYS.recovery(recovery)))


async def point_to(room: Room, *recoveries: str) -> None:
    for recovery in recoveries:
        await room.redis.execute("SET", KEYS.recovery(recovery), f"{room.code} {room.instance} x 1", "PX", 3_600_000)


async def test_of_each_participant_the_newest_three_recovery_ids_are_known(room: Room) -> None:
    await point_to(room, "r1", "r2")
    await room.join("bob")
    for number in range(1, 5):
        await room.join("ann", credential=room.token("ann") if number > 1 else None, recovery=f"r{number}")
    assert await known(room) == {"bob": ["a.bob"], "ann": ["r2", "r3", "r4"]}
    assert (await room.recoveries(), await counted(room)) == ({"a.bob", "r2", "r3", "r4"}, 4)
    assert (await milliseconds_left(room, "r1"), await milliseconds_left(room, "r2") > 3_000_000) == (-2, True)
    await room.come_back("ann", recovery="r2")
    assert (await known(room))["ann"] == ["r3", "r4", "r2"], "the newest again"
    assert await counted(room) == 4
    assert (await room.fields("connections"))["r:r2"] == "ann a.ann"


async def test_a_recovery_id_continues_whoever_used_it_last(room: Room) -> None:
    await room.join("ann", recovery="r1")
    await room.come_back("ann", recovery="r2")
    await room.join("bob", recovery="r1")
    assert await known(room) == {"ann": ["r2"], "bob": ["r1"]}
    assert (await room.fields("connections"))["r:r1"] == "bob a.bob"
    assert await counted(room) == 2
    # What ann leaves behind is not Bob's.
    await room.remove("ann", "ann", "left")
    assert await room.recoveries() == {"r1"}


async def test_a_recovery_id_that_is_void_is_known_for_a_time_and_one_that_is_forgotten_is_not(room: Room) -> None:
    await point_to(room, "a.ann", "r.bob")
    await room.join("ann")
    await room.join("bob", recovery="r.bob")
    await room.detach("a.ann", void=True)
    assert 0 < await milliseconds_left(room, "a.ann") <= 60_000
    assert await milliseconds_left(room, "r.bob") > 3_000_000
    # Void already, it is not said again.
    await point_to(room, "a.ann")
    await room.detach("a.ann", void=True)
    assert await milliseconds_left(room, "a.ann") > 3_000_000
    await room.end("ann")
    assert 0 < await milliseconds_left(room, "r.bob") <= 60_000


async def test_those_who_left_are_forgotten_before_those_whose_grace_time_was_over(room: Room) -> None:
    await come_and_go(room, "bob", leave=False)
    people = [f"p{number}" for number in range(2 * CAPACITY - 1)]
    await come_and_go(room, *people)
    assert await former(room) == [*people, "bob"]
    await come_and_go(room, "another")
    assert await former(room) == [*people[1:], "another", "bob"]
    assert set(await known(room)) == {*people[1:], "another", "bob"}


async def test_twice_as_many_as_fit_are_remembered(room: Room) -> None:
    people = [f"p{number}" for number in range(2 * CAPACITY)]
    await point_to(room, "a.p0", "a.p1")
    await come_and_go(room, *people, leave=False)
    assert (await former(room), await counted(room)) == (people, 2 * CAPACITY)
    await come_and_go(room, "another", leave=False)
    assert await former(room) == [*people[1:], "another"]
    assert (set(await known(room)), await counted(room)) == ({*people[1:], "another"}, 2 * CAPACITY)
    assert (await milliseconds_left(room, "a.p0"), await milliseconds_left(room, "a.p1") > 3_000_000) == (-2, True)


async def test_twice_as_many_as_fit_are_remembered_also_without_recovery_ids(room: Room) -> None:
    people = [f"p{number}" for number in range(2 * CAPACITY + 1)]
    for person in people:
        # Each takes the one before theirs away.
        await room.join(person, recovery="same")
        await room.lose(person)
    assert (await former(room), await counted(room)) == (people[1:], 1)


async def test_who_comes_back_is_not_among_those_who_have_gone(room: Room) -> None:
    await come_and_go(room, "bob", "cid")
    await room.join("ann")
    await room.come_back("bob")
    assert await former(room) == ["cid"]
    await come_and_go(room, "dan")
    await room.leave("bob")
    assert await former(room) == ["cid", "dan", "bob"]


async def test_of_somebody_whom_an_earlier_release_let_back_in_only_the_record_goes(room: Room) -> None:
    await room.join("ann")
    await room.redis.execute("ZADD", f"{KEYS.session(room.code)}:former", 0, "ann")
    await room.redis.execute("HSET", f"{KEYS.session(room.code)}:connections", "f:ann", "left|1|1|Ann")
    await come_and_go(room, *(f"p{number}" for number in range(2 * CAPACITY)))
    assert "ann" not in await former(room)
    assert (await known(room))["ann"] == ["a.ann"]


async def test_a_few_are_forgotten_at_a_time(empty: Room) -> None:
    room = await empty.create(capacity=10)
    await room.join("ann")
    people = [f"p{number:02}" for number in range(19)]
    await come_and_go(room, *people)
    assert await former(room) == people
    await room.update("ann", capacity=2)
    await room.come_back("ann")
    assert await former(room) == people[8:]
    await room.come_back("ann")
    assert await former(room) == people[16:]
    assert await counted(room) == 4
    await room.come_back("ann")
    assert await former(room) == people[16:]


async def test_with_nobody_left_to_forget_the_ids_of_those_who_are_in_stay(empty: Room) -> None:
    room = await empty.create(capacity=1)
    await room.join("ann", recovery="r1")
    for number in (2, 3):
        await room.come_back("ann", recovery=f"r{number}")
    assert (await known(room), await counted(room)) == ({"ann": ["r1", "r2", "r3"]}, 3)


@pytest.mark.parametrize("leave", [True, False])
async def test_once_somebody_is_forgotten_who_was_told_to_go_nobody_is_let_in_for_what_was_lost(
    room: Room, leave: bool
) -> None:
    await come_and_go(room, *(f"p{number}" for number in range(2 * CAPACITY)), leave=leave)
    await room.put(lost="first 1")
    await room.join("bob")
    assert "p0" not in await former(room)
    assert ("lost" in await room.fields()) == (not leave)


async def test_a_record_says_why_since_when_and_under_which_name(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob", name="B|b")
    await room.lose("bob")
    links = await room.fields("connections")
    assert links["f:bob"] == f"away|{bob.membership_id}|{bob.membership_id}|B|b"
    again = await room.come_back("bob")
    links = await room.fields("connections")
    assert links["s:bob"] == f"{bob.membership_id} {again.membership_id}"
    await room.leave("bob")
    links = await room.fields("connections")
    assert links["f:bob"] == f"left|{bob.membership_id}|{again.membership_id}|B|b"
    assert "s:bob" not in links
    # An entry that an earlier release has left of a membership before that one says nothing.
    newer = await room.come_back("bob")
    await room.redis.execute("HSET", f"{KEYS.session(room.code)}:connections", "s:bob", f"1 {again.membership_id}")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    await room.lose("bob")
    links = await room.fields("connections")
    assert links["f:bob"] == f"away|{newer.membership_id}|{newer.membership_id}|Guest 2"


async def test_the_names_of_a_participants_connections_are_kept_without_repeats(room: Room) -> None:
    await room.join("ann")
    await room.come_back("ann", "b.ann")
    await room.come_back("ann", "b.ann")
    links = await room.fields("connections")
    assert (links["a:ann"], links["n:ann"]) == ("a.ann b.ann", "2")
    await room.detach("a.ann")
    links = await room.fields("connections")
    assert (links["a:ann"], links["n:ann"]) == ("b.ann", "1")
    await room.detach("b.ann")
    assert not {"a:ann", "n:ann"} & set(await room.fields("connections"))


async def looks_at_all(room: Room) -> int:
    """How often a step has looked at the connections of everybody."""
    await room.sessions.close()
    stats = text(await room.redis.execute("INFO", "commandstats"))
    return sum(int(calls) for calls in re.findall(r"cmdstat_hkeys:calls=(\d+)", stats))


async def test_of_one_participant_all_is_found_without_a_look_at_everybody(room: Room) -> None:
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    await room.come_back("bob", "b.bob")
    before = await looks_at_all(room)
    await room.come_back("bob", "c.bob", policy="newest")
    await room.come_back("bob", "d.bob")
    await room.remove("ann", "bob")
    await room.leave("cid")
    assert await room.connections() == {"a.ann": "ann"}
    assert await looks_at_all(room) == before
