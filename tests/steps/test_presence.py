"""Connections that go, replicas that die, and grace times that end."""

from __future__ import annotations

import pytest

from app.redis_client.reply import texts
from app.sessions.errors import SessionError
from tests.steps.room import GRACE, Room


async def away(room: Room) -> set[str]:
    return {member.id for member in (await room.seen()).participants.values() if not member.connected}


async def test_whoever_loses_the_last_connection_is_away_for_a_grace_time(room: Room) -> None:
    await room.join("ann")
    await room.come_back("ann", "b.ann")
    before = await room.version()
    assert (await room.detach("a.ann"), await away(room), await room.version()) == (0, set(), before)
    due = await room.detach("b.ann")
    assert await room.now() < due <= await room.now() + GRACE
    assert (await away(room), await room.version()) == ({"ann"}, before + 1)
    assert await room.detach("b.ann") == 0, "it is gone already"
    assert await room.version() == before + 1
    await room.come_back("ann", "b.ann")
    assert (await away(room), await room.version()) == (set(), before + 2)


async def test_connections_that_go_together_are_one_change(room: Room) -> None:
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    before = await room.version()
    await room.detach("a.ann", "a.bob", "a.nobody")
    assert (await away(room), await room.version()) == ({"ann", "bob"}, before + 1)
    assert await room.connections() == {"a.cid": "cid"}


async def test_a_connection_that_will_not_come_back_takes_its_recovery_id_along(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.detach("a.ann", void=True)
    await room.detach("a.bob")
    assert await room.recoveries() == {"a.bob"}


async def test_a_replica_that_dies_takes_its_connections_along_and_no_others(room: Room) -> None:
    await room.join("ann")
    await room.join("bob", "aa.bob")
    await room.join("cid")
    await room.come_back("cid", "b.cid")
    before = await room.version()
    due = await room.sessions.reap(room.code, "a", grace=GRACE)
    assert await room.now() < due <= await room.now() + GRACE
    assert await room.connections() == {"aa.bob": "bob", "b.cid": "cid"}
    assert (await away(room), await room.version()) == ({"ann"}, before + 1)
    assert (await room.sessions.reap(room.code, "a", grace=GRACE), await room.version()) == (0, before + 1)


async def test_of_a_replica_that_lives_only_the_connections_go_that_it_does_not_have(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.sessions.reap(room.code, "a", living=["a.bob"], grace=GRACE)
    assert (await room.connections(), await away(room)) == ({"a.bob": "bob"}, {"ann"})
    await room.sessions.reap(room.code, "a", living=[], grace=GRACE)
    assert (await room.connections(), await away(room)) == ({}, {"ann", "bob"})
    # It may go on at once.
    await room.come_back("ann", lease_renewed_at=1)


async def test_what_a_replica_sent_before_it_was_taken_for_dead_does_not_count(room: Room) -> None:
    await room.join("ann", lease_renewed_at=await room.now())
    await room.sessions.reap(room.code, "a", grace=GRACE)
    reaped = int((await room.fields("connections"))["x:a"])
    for renewed_at in (1, reaped):
        with pytest.raises(SessionError, match="unavailable"):
            await room.come_back("ann", lease_renewed_at=renewed_at)
    assert await away(room) == {"ann"}
    await room.come_back("ann", "b.ann", lease_renewed_at=1)
    await room.come_back("ann", lease_renewed_at=reaped + 1)
    await room.come_back("ann", "a.other")


async def test_the_note_that_a_replica_was_taken_for_dead_expires_with_the_session(room: Room) -> None:
    await room.sessions.reap(room.code, "a", grace=GRACE)
    assert await room.keeps("connections")


async def test_whoever_stays_away_is_removed_and_nobody_else(room: Room) -> None:
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    await room.detach("a.ann", grace=0)
    due = await room.detach("a.bob")
    before = await room.version()
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    assert (swept.removed, swept.next_due) == (1, due)
    assert (await room.people(), await room.host(), await room.version()) == (["bob", "cid"], "cid", before + 1)
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    assert (swept.removed, swept.next_due, await room.version()) == (0, due, before + 1)
    await room.come_back("bob")
    assert (await room.sessions.sweep(room.code, grace=GRACE)).next_due == 0


async def test_the_next_sweep_is_due_with_the_earliest_grace_time(room: Room) -> None:
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    await room.detach("a.ann", grace=3 * GRACE)
    earliest = await room.detach("a.bob", grace=GRACE)
    await room.detach("a.cid", grace=2 * GRACE)
    assert (await room.sessions.sweep(room.code, grace=GRACE)).next_due == earliest


async def test_a_grace_time_begins_for_those_who_are_without_a_connection_unnoticed(room: Room) -> None:
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    await room.detach("a.cid", grace=GRACE // 2)
    await room.redis.execute("HDEL", f"js:{{{room.code}}}:connections", "n:ann", "n:bob", "c:a.ann", "c:a.bob")
    before = await room.version()
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    assert (await away(room), await room.version()) == ({"ann", "bob", "cid"}, before + 1)
    # Cid's is the earliest.
    assert await room.now() + GRACE // 4 < swept.next_due <= await room.now() + GRACE // 2
    await room.come_back("cid")
    swept = await room.sessions.sweep(room.code, grace=2 * GRACE)
    assert await room.now() + GRACE // 2 < swept.next_due <= await room.now() + GRACE
    assert await room.version() == before + 2


async def test_a_grace_time_that_begins_now_may_be_the_earliest(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.redis.execute("HDEL", f"js:{{{room.code}}}:connections", "n:ann", "c:a.ann")
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    assert await room.now() < swept.next_due <= await room.now() + GRACE
    await room.detach("a.bob", grace=2 * GRACE)
    await room.redis.execute("HDEL", f"js:{{{room.code}}}", "d:ann")
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    assert await room.now() < swept.next_due <= await room.now() + GRACE


@pytest.mark.parametrize("first", ["ann", "bob"])
async def test_those_whose_grace_time_was_over_first_are_the_longest_absent(room: Room, first: str) -> None:
    """With equal times it is by their ids, so that everybody who looks finds the same."""
    for person in ("ann", "bob"):
        await room.join(person)
        await room.vote(person, "m1", 5)
    now = await room.now()
    await room.put(**{"d:ann": now - (first == "ann"), "d:bob": now - (first == "bob")})
    assert (await room.sessions.sweep(room.code, grace=GRACE)).removed == 2
    absent = texts(await room.redis.execute("ZRANGE", f"js:{{{room.code}}}:absent", 0, -1))
    assert absent[0] == first


async def test_with_equal_times_the_absent_are_in_the_order_of_their_ids(empty: Room) -> None:
    people = [f"p{number}" for number in range(5)]
    await empty.create()
    for person in people:
        await empty.join(person)
        await empty.vote(person, "m1", 5)
    now = await empty.now()
    await empty.put(**{f"d:{person}": now for person in people})
    assert (await empty.sessions.sweep(empty.code, grace=GRACE)).removed == 5
    assert texts(await empty.redis.execute("ZRANGE", f"js:{{{empty.code}}}:absent", 0, -1)) == people


async def test_of_a_session_that_is_not_there_nothing_goes(empty: Room) -> None:
    sessions, code = empty.sessions, empty.code
    for step in (
        lambda: sessions.sweep(code, grace=GRACE),
        lambda: sessions.reap(code, "a", grace=GRACE),
        lambda: empty.detach("a.ann"),
        lambda: sessions.touch(code, least=1),
        lambda: empty.join("ann"),
    ):
        with pytest.raises(SessionError, match="session-not-found"):
            await step()
    assert await empty.redis.execute("KEYS", f"*{code}*") == []


async def test_the_ratings_of_the_absent_that_are_too_many_go_a_bounded_number_at_a_time(room: Room) -> None:
    """Here two hold more than one step takes away."""
    await room.join("ann")
    many = "{" + ",".join(f'"{number}":5' for number in range(100, 2099)) + "}"
    absent = f"js:{{{room.code}}}:absent"
    for number, person in enumerate(("x", "y", "z", "zz")):
        await room.redis.execute("HSET", f"js:{{{room.code}}}:votes", person, many)
        await room.redis.execute("ZADD", absent, number, person)
    before = await room.version()
    swept = await room.sessions.sweep(room.code, grace=GRACE)
    # What is taken away is a change, and the rest is due at once.
    assert await room.redis.execute("ZRANGE", absent, 0, -1) == [b"y", b"z", b"zz"]
    assert (set(await room.fields("votes")), await room.version()) == ({"y", "z", "zz"}, before + 1)
    assert 0 < swept.next_due <= await room.now()
    for left in ({"z", "zz"}, {"zz"}):
        swept = await room.sessions.sweep(room.code, grace=GRACE)
        assert set(await room.fields("votes")) == left
    assert (swept.next_due, await room.version()) == (0, before + 3)
    await room.sessions.sweep(room.code, grace=GRACE)
    assert await room.version() == before + 3


async def test_who_is_in_the_session_is_not_absent_whatever_an_older_version_has_left(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.vote("ann", "m1", 5)
    absent = f"js:{{{room.code}}}:absent"
    await room.redis.execute("ZADD", absent, 1, "ann", 2, "x", 3, "y")
    before = await room.version()
    await room.sessions.sweep(room.code, grace=GRACE)
    assert await room.redis.execute("ZRANGE", absent, 0, -1) == [b"x", b"y"]
    assert (await room.tally("m1"), await room.version()) == ((1, 0, 100), before)
