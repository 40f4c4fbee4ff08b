"""When Redis has lost changes that somebody was shown: a new epoch, and who is let in then."""

from __future__ import annotations

import re

import pytest

from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.sessions.steps import ContinuedMembership
from app.store.announcements import Announcement
from tests.steps.room import Room


@pytest.fixture
async def room(room: Room) -> Room:
    """Ann is in a session that this replica watches."""
    room.sessions.watch(room.code)
    await room.join("ann")
    return room


async def lose(room: Room, *joined: str) -> None:
    """Redis goes one change back and forgets that these have joined."""
    version = await room.version()
    key = f"js:{{{room.code}}}"
    for person in joined:
        await room.redis.execute("HDEL", key, f"p:{person}")
        await room.redis.execute("HINCRBY", key, "people", -1)
        await room.redis.execute("HINCRBY", key, "order", -1)
        await room.redis.execute("HDEL", f"{key}:connections", f"r:a.{person}", f"i:{person}")
    await room.put(version=version - 1)


async def test_below_what_was_shown_a_new_epoch_begins_once(room: Room) -> None:
    before = await room.seen()
    assert await room.come_back("ann") is not None
    assert (await room.seen()).head == before.head, "nothing was lost"
    await lose(room)
    after = (await room.seen()).head
    assert re.fullmatch("[0-9a-f]{15}", after.epoch)
    assert after.version == before.head.version
    assert (await room.seen()).head == after
    assert (await room.fields())["lost"] == f"first {(await room.fields())['order']}"


async def test_a_new_epoch_extends_nothing(room: Room) -> None:
    key = f"js:{{{room.code}}}"
    expires = await room.lives() - 1000
    await room.redis.execute("PEXPIREAT", key, expires)
    await lose(room)
    await room.seen()
    assert await room.lives() == expires


async def test_below_what_was_announced_a_step_begins_it_and_a_read_that_is_late_does_not(room: Room) -> None:
    before = (await room.seen()).head
    assert not room.sessions.apply(room.code, Announcement(Head(before.epoch, before.version + 1), "", 0))
    assert (await room.seen()).head == before
    await room.vote("ann", "m1", 5)
    after = (await room.seen()).head
    assert after.epoch != before.epoch
    assert not room.sessions.apply(room.code, Announcement(Head(before.epoch, before.version + 5), "", 0))
    await room.vote("ann", "m1", 4)
    assert (await room.seen()).head == Head(after.epoch, after.version + 1)


async def test_another_step_begins_it_as_well(room: Room) -> None:
    before = await room.seen()
    await lose(room)
    version = await room.vote("ann", "m1", 5)
    assert (await room.seen()).head.epoch != before.head.epoch
    assert version == before.head.version + 1


async def test_what_a_step_has_replied_was_shown(room: Room) -> None:
    version = await room.vote("ann", "m1", 5)
    await room.put(version=version - 1)
    await room.vote("ann", "m1", 4)
    assert (await room.seen()).head.epoch != "first"


async def test_a_replica_that_has_seen_no_more_begins_none(room: Room) -> None:
    before = await room.seen()
    await room.put(version=before.head.version + 1)
    await room.vote("ann", "m1", 5)
    assert (await room.seen()).head == ("first", before.head.version + 2)


async def test_in_a_new_epoch_nobody_is_connected_until_they_say_so(room: Room) -> None:
    await room.join("bob")
    await lose(room)
    await room.seen()
    left = {name[:2] for name in await room.fields("connections")}
    assert (await room.connections(), left) == ({}, {"r:", "i:", "id"})
    assert await room.people() == ["ann", "bob"]
    await room.come_back("ann")
    assert await room.connections() == {"a.ann": "ann"}


async def test_whose_joining_was_lost_is_let_in_again_by_what_a_replica_knows(room: Room) -> None:
    bob = await room.join("bob", name="Bob")
    await lose(room, "bob")
    again = await room.continue_(bob)
    assert (again.participant, again.name) == ("bob", "Bob")
    assert await room.people() == ["ann", "bob"]


async def test_whose_joining_was_not_lost_needs_a_record(room: Room) -> None:
    bob = await room.join("bob")
    await room.leave("bob")
    await room.join("cid")
    await lose(room, "cid")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)


@pytest.mark.parametrize("reason", ["kicked", "left"])
async def test_who_was_told_to_go_since_is_not_let_in(room: Room, reason: str) -> None:
    bob = await room.join("bob")
    await lose(room, "bob")
    # By a token that is older than what was lost.
    await room.come_back("bob")
    if reason == "kicked":
        await room.remove("ann", "bob", "kicked")
    else:
        await room.leave("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)


async def test_who_has_been_away_since_is_let_in(room: Room) -> None:
    bob = await room.join("bob")
    await room.join("cid")
    await lose(room, "bob", "cid")
    await room.come_back("bob")
    await room.lose("bob")
    await room.put(order=bob.membership_id - 1)
    assert (await room.continue_(bob)).participant == "bob"


async def test_it_counts_in_which_epoch_somebody_joined(room: Room) -> None:
    for number in range(3):
        await room.join(f"p{number}")
    order = int((await room.fields())["order"])
    await room.put(lost=f"one {order} two {order + 5}")

    async def let_in(epoch: str | None, membership: int) -> bool:
        """Whether one is let in of whom nothing is known but this."""
        try:
            await room.come_back("eve", continued=ContinuedMembership(membership, epoch))
        except SessionError:
            return False
        await room.leave("eve")
        await room.redis.execute("HDEL", f"js:{{{room.code}}}:connections", "f:eve")
        return True

    assert [await let_in("one", order + more) for more in (0, 1, 6)] == [False, True, True]
    assert [await let_in("two", order + more) for more in (1, 5, 6)] == [False, False, True]
    assert [await let_in("older", order + more) for more in (1, 5, 6)] == [False, False, True]
    assert [await let_in("first", order + 9), await let_in(None, order + 9)] == [False, False]


async def test_of_eight_epochs_it_is_known_what_was_lost(room: Room) -> None:
    epochs = []
    for _ in range(9):
        epochs.append((await room.seen()).head.epoch)
        await room.vote("ann", "m1", 1 + len(epochs) % 5)
        await lose(room)
    await room.seen()
    assert (await room.fields())["lost"].split()[::2] == epochs[1:]
