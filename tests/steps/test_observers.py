"""Connections that only watch: no participants, but counted, and each change of their number is one of the session."""

from __future__ import annotations

from typing import Any, Final

import pytest

from app.sessions.errors import SessionError
from app.sessions.steps import Attached, ContinuedMembership
from app.store import replies
from app.store.scripts import SESSION_SCRIPTS
from app.store.steps import StepRunner
from app.store.watermarks import Watermarks
from tests.harness.keys import KEYS
from tests.steps.room import GRACE, Room

MOST: Final = 20


async def observe(room: Room, connection: str, **more: Any) -> Attached:
    return await room.join("nobody", connection, observing=True, **more)


async def observers(room: Room) -> int:
    return (await room.seen()).observers


async def test_an_observer_is_no_participant_and_its_coming_and_going_are_changes(room: Room) -> None:
    await room.join("ann")
    before = await room.version()
    attached = await observe(room, "a.screen")
    assert (attached.head.version, attached.votes, attached.name) == (before + 1, {}, "")
    assert (await observers(room), await room.people(), await room.host()) == (1, ["ann"], "ann")
    assert (await observe(room, "a.screen")).head.version == before + 1, "it is there already"
    await observe(room, "a.other")
    assert (await observers(room), await room.version()) == (2, before + 2)
    assert await room.detach("a.screen", "a.other") == 0
    assert (await observers(room), await room.version()) == (0, before + 3)
    await room.detach("a.screen")
    assert await room.version() == before + 3


async def test_observers_take_nobodys_place(room: Room) -> None:
    await room.update(room.host_token(), capacity=1)
    await observe(room, "a.screen")
    await room.join("ann")
    await observe(room, "a.other")
    with pytest.raises(SessionError, match="session-full"):
        await room.join("bob")


async def test_twenty_observe_a_session_and_no_more(room: Room) -> None:
    for number in range(MOST):
        await observe(room, f"a.{number}")
    before = await room.version()
    with pytest.raises(SessionError, match="limit-reached"):
        await observe(room, "a.more")
    assert (await observers(room), await room.version()) == (MOST, before)
    await observe(room, "a.0")
    # One takes the place of the connection that it continues.
    await observe(room, "b.0", recovery="a.0", recovering=True)
    await room.detach("a.1")
    await observe(room, "a.more")
    assert await observers(room) == MOST


async def test_a_locked_session_lets_no_new_observer_in(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    screen = await observe(room, "a.screen")
    await room.lose("bob")
    await room.update(room.host_token(), locked=True)
    with pytest.raises(SessionError, match="session-locked"):
        await observe(room, "a.stranger")
    with pytest.raises(SessionError, match="session-locked"):
        await observe(room, "a.gone", credential=room.token("bob"))
    await observe(room, "a.screen")
    await observe(room, "b.ann", credential=room.token("ann"))
    await observe(room, "b.host", credential=room.host_token())
    await observe(room, "b.screen", continued=ContinuedMembership(screen.membership_id))
    assert await observers(room) == 4


async def test_who_is_banned_does_not_observe_by_that_token(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.remove("ann", "bob", "banned")
    with pytest.raises(SessionError, match="forbidden"):
        await observe(room, "b.bob", credential=room.token("bob"))
    with pytest.raises(SessionError, match="unauthorized"):
        await observe(room, "b.ann", credential=room.host_token(7))


async def test_a_participant_becomes_an_observer_by_leaving_and_a_participant_again(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    before = await room.version()
    await observe(room, "a.ann", credential=room.token("ann"))
    assert (await room.people(), await observers(room), await room.host()) == (["bob"], 1, "bob")
    assert await room.version() == before + 1
    await room.join("ann again", "a.ann")
    assert (await room.people(), await observers(room), await room.version()) == (["bob", "ann again"], 0, before + 2)
    await observe(room, "a.ann")
    await room.join("host", "a.ann", credential=room.host_token())
    assert (await room.people(), await room.host()) == (["bob", "host"], "host")


async def test_one_of_two_connections_of_a_participant_observes(room: Room) -> None:
    await room.join("ann")
    await room.come_back("ann", "b.ann")
    await observe(room, "b.ann", credential=room.token("ann"))
    assert (await room.people(), await observers(room)) == (["ann"], 1)


async def test_a_recovery_id_continues_an_observer_until_it_is_void(room: Room) -> None:
    await observe(room, "a.screen")
    before = await room.version()
    await room.detach("a.screen")
    await observe(room, "b.screen", recovery="a.screen", recovering=True)
    await observe(room, "c.screen", recovery="a.screen", recovering=True)
    assert (await observers(room), await room.version()) == (1, before + 2)
    assert await room.connections() == {"c.screen": "~"}
    await room.sessions.stop_observing(room.code, "c.screen", "a.screen")
    assert (await observers(room), await room.recoveries()) == (0, set())
    with pytest.raises(SessionError, match="not-joined"):
        await observe(room, "b.screen", recovery="a.screen", recovering=True)


async def test_an_id_of_an_observer_that_a_participant_takes_over_is_an_observers_no_more(room: Room) -> None:
    await observe(room, "a.screen")
    await room.join("ann", "b.ann", recovery="a.screen", recovering=True)
    assert (await observers(room), await room.connections()) == (0, {"b.ann": "ann"})


async def test_a_participants_id_whose_connection_observes_by_now_ends_that_when_it_is_continued(room: Room) -> None:
    await room.join("ann")
    await room.come_back("ann", "b.ann")
    await room.come_back("ann", "c.ann", recovery="a.ann")
    await observe(room, "c.ann")
    await room.come_back("ann", "a.ann")
    assert (await observers(room), await room.connections()) == (0, {"a.ann": "ann", "b.ann": "ann"})


async def test_who_is_refused_takes_no_observers_place(room: Room) -> None:
    await room.update(room.host_token(), capacity=1)
    await room.join("ann")
    await observe(room, "a.screen")
    before = await room.version()
    with pytest.raises(SessionError, match="session-full"):
        await room.join("bob", "b.bob", recovery="a.screen", recovering=True)
    assert (await observers(room), await room.version()) == (1, before)
    assert await room.connections() == {"a.ann": "ann", "a.screen": "~"}


async def test_forty_ids_of_observers_are_known_and_push_out_nobody_elses(room: Room) -> None:
    await room.update(room.host_token(), capacity=1)
    await room.join("ann")
    await room.lose("ann")
    for number in range(50):
        await observe(room, "a.screen", recovery=f"screen.{number}")
    known = await room.recoveries()
    assert len(known) == 41
    assert {"a.ann", "screen.10", "screen.49"} <= known
    assert (await room.come_back("ann", recovery="a.ann", recovering=True)).participant == "ann"


async def test_a_replica_that_dies_takes_its_observers_along(room: Room) -> None:
    await observe(room, "a.screen")
    await observe(room, "b.screen")
    before = await room.version()
    assert await room.sessions.reap(room.code, "a", grace=GRACE) == 0
    assert (await observers(room), await room.version()) == (1, before + 1)
    await room.sessions.reap(room.code, "b", living=["b.screen"], grace=GRACE)
    assert (await observers(room), await room.version()) == (1, before + 1)


async def test_what_an_earlier_release_did_not_count_is_counted_by_the_next_sweep(room: Room) -> None:
    await observe(room, "a.screen")
    before = await room.version()
    await room.redis.execute("HDEL", KEYS.connections(room.code), "c:a.screen", "n:~", "a:~")
    await room.sessions.sweep(room.code, grace=GRACE)
    assert (await observers(room), await room.version()) == (0, before + 1)
    await room.sessions.sweep(room.code, grace=GRACE)
    assert await room.version() == before + 1


async def test_in_a_new_epoch_observers_are_counted_as_they_come_again(room: Room) -> None:
    await observe(room, "a.screen")
    head = (await room.seen()).head
    watermarks = Watermarks()
    watermarks.watch(room.code)
    watermarks.note(room.code, head._replace(version=head.version + 5))
    steps = StepRunner(room.redis, KEYS, watermarks, remembered=1, tracing=None)
    await steps.run(SESSION_SCRIPTS.new_epoch, room.code, {}, replies.nothing)
    await steps.close()
    assert await observers(room) == 0
    await observe(room, "a.screen", continued=ContinuedMembership(0, head.epoch))
    assert await observers(room) == 1
