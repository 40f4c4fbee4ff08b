"""Joining, coming back, and being somewhere else as well."""

from __future__ import annotations

import pytest

from app.sessions.errors import SessionError
from app.sessions.steps import ContinuedMembership
from app.sessions.tokens import Credential
from tests.steps.room import Room


async def test_whoever_joins_is_the_newest_participant(room: Room) -> None:
    before = await room.now()
    ann = await room.join("ann", name="Ann|e")
    bob = await room.join("bob")
    session = await room.seen()
    assert list(session.participants) == ["ann", "bob"]
    member = session.participants["ann"]
    assert (member.name, member.connected, member.owner) == ("Ann|e", True, None)
    assert before <= member.joined_at <= await room.now()
    assert (ann.participant, ann.name, ann.votes, ann.instance) == ("ann", "Ann|e", {}, room.instance)
    assert (ann.membership_id, bob.membership_id) == (member.order, session.participants["bob"].order)
    assert bob.head == session.head
    assert bob.free_at == await room.lives("code")
    assert (await room.fields())["people"] == "2"


async def test_whoever_has_no_name_is_a_guest_with_a_number(room: Room) -> None:
    assert [(await room.join(person)).name for person in ("ann", "bob")] == ["Guest 1", "Guest 2"]
    assert (await room.come_back("ann")).name == "Guest 1"
    await room.leave("ann")
    assert (await room.come_back("ann")).name == "Guest 3"


async def test_whoever_is_there_already_is_not_a_change(room: Room) -> None:
    first = await room.join("ann", name="Ann")
    for again in (await room.come_back("ann"), await room.come_back("ann", name="Ann")):
        assert (again.head, again.membership_id, again.name) == (first.head, first.membership_id, "Ann")
    other = await room.come_back("ann", name="Anna", connection="b.ann")
    assert (other.head.version, other.name) == (first.head.version + 1, "Anna")
    assert (await room.seen()).participants["ann"].name == "Anna"
    assert await room.connections() == {"a.ann": "ann", "b.ann": "ann"}
    assert (await room.fields("connections"))["n:ann"] == "2"


async def test_a_token_of_another_session_is_refused(room: Room) -> None:
    with pytest.raises(SessionError, match="unauthorized"):
        await room.join("ann", credential=Credential("participant", "another", "ann"))
    with pytest.raises(SessionError, match="unauthorized"):
        await room.join("ann", credential=room.host_token(2))
    assert await room.people() == []


async def test_whoever_shows_the_host_token_becomes_the_host(room: Room) -> None:
    await room.join("ann")
    assert await room.host() == "ann"
    bob = await room.join("bob", credential=room.host_token())
    assert (await room.host(), (await room.fields())["tokenholder"]) == ("bob", "bob")
    # Shown again it is the same participant, on whatever connection.
    again = await room.join("cid", "b.1", credential=room.host_token())
    assert (again.participant, again.head) == ("bob", bob.head)
    await room.leave("ann")
    assert await room.host() == "bob"


async def test_whoever_is_in_already_becomes_the_host_by_the_token(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    again = await room.join("cid", "a.bob", credential=room.host_token())
    assert (again.participant, again.head.version) == ("bob", bob.head.version + 1)
    assert (await room.host(), await room.people()) == ("bob", ["ann", "bob"])


async def test_a_locked_session_is_open_to_those_who_are_in_and_to_the_host(room: Room) -> None:
    await room.join("ann")
    await room.update("ann", locked=True)
    with pytest.raises(SessionError, match="session-locked"):
        await room.join("bob")
    await room.come_back("ann", "b.ann")
    assert (await room.join("bob", credential=room.host_token())).participant == "bob"


async def test_a_lock_keeps_nobody_out_whose_membership_goes_on(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    await room.update("ann", locked=True)
    await room.lose("bob")
    with pytest.raises(SessionError, match="session-locked"):
        await room.come_back("bob")
    assert (await room.continue_(bob)).participant == "bob"


async def test_as_many_people_join_as_fit(empty: Room) -> None:
    await empty.create(capacity=2)
    for person in ("ann", "bob"):
        await empty.join(person)
    for credential in (None, empty.host_token()):
        with pytest.raises(SessionError, match="session-full"):
            await empty.join("cid", credential=credential)
    await empty.come_back("bob", "b.bob")
    await empty.leave("ann")
    await empty.join("cid")
    assert await empty.people() == ["bob", "cid"]


async def test_who_was_banned_does_not_come_back(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    await room.remove("ann", "bob", "banned")
    for attempt in (room.come_back("bob"), room.continue_(bob)):
        with pytest.raises(SessionError, match="forbidden"):
            await attempt


async def test_whoever_comes_back_after_the_grace_time_has_their_name_and_membership(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob", name="Bob|by")
    await room.lose("bob")
    again = await room.come_back("bob")
    assert again.name == "Bob|by"
    assert again.membership_id > bob.membership_id
    # Both name the membership: it has gone on.
    for attached in (bob, again):
        assert (await room.continue_(attached)).participant == "bob"
    await room.lose("bob")
    assert (await room.continue_(bob, name="Robert")).name == "Robert"


async def test_a_membership_ends_with_leaving(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    await room.leave("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    newer = await room.come_back("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    assert (await room.continue_(newer)).membership_id == newer.membership_id
    # By the end of the grace time the newer one has not ended, the older one has.
    await room.lose("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    assert (await room.continue_(newer)).participant == "bob"


async def test_a_membership_ends_with_being_told_to_go(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    await room.remove("ann", "bob", "kicked")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    await room.come_back("bob")
    await room.lose("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)


async def test_a_membership_that_nobody_knows_does_not_go_on(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    await room.lose("bob")
    await room.redis.execute("HDEL", f"js:{{{room.code}}}:connections", "f:bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.continue_(bob)
    # As a replica of an earlier release has removed somebody.
    await room.put(**{"l:bob": "Bobby"})
    assert (await room.continue_(bob)).name == "Bobby"
    assert "l:bob" not in await room.fields()


async def test_a_membership_later_than_what_is_known_goes_on_only_while_somebody_is_there(room: Room) -> None:
    await room.join("ann")
    bob = await room.join("bob")
    later = ContinuedMembership(bob.membership_id + 1, bob.head.epoch)
    assert (await room.come_back("bob", continued=later)).membership_id == bob.membership_id
    await room.lose("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.come_back("bob", continued=later)


async def test_a_connection_is_one_participants(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    attached = await room.join("cid", "a.bob", recovery="a.cid")
    assert attached.participant == "cid"
    assert (await room.people(), await room.connections()) == (["ann", "cid"], {"a.ann": "ann", "a.bob": "cid"})
    assert await room.recoveries() == {"a.ann", "a.cid"}
    assert await room.sessions.end_reason(room.code, room.instance, "bob") == "left"


async def test_whoever_has_another_connection_stays_when_one_becomes_somebody_elses(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.come_back("bob", "b.bob")
    await room.join("cid", "a.bob")
    assert await room.people() == ["ann", "bob", "cid"]
    assert await room.connections() == {"a.ann": "ann", "b.bob": "bob", "a.bob": "cid"}


async def test_a_recovered_connection_takes_the_place_of_the_one_before(room: Room) -> None:
    await room.join("ann")
    await room.come_back("ann", "b.ann", recovery="a.ann", recovering=True)
    assert await room.connections() == {"b.ann": "ann"}
    assert (await room.fields("connections"))["n:ann"] == "1"
    # The same connection again takes no place of its own.
    await room.come_back("ann", "b.ann", recovery="a.ann", recovering=True)
    assert await room.connections() == {"b.ann": "ann"}


async def test_nobody_recovers_by_an_id_that_is_void(room: Room) -> None:
    await room.join("ann")
    await room.detach("a.ann", void=True)
    with pytest.raises(SessionError, match="not-joined"):
        await room.come_back("ann", "b.ann", recovery="a.ann", recovering=True)
    # A connection that does not claim to recover anything may have that name.
    await room.come_back("ann", "b.ann", recovery="a.ann")


# What a second connection of a participant means


async def test_with_newest_only_the_newest_connection_stays(room: Room) -> None:
    await room.join("ann", policy="newest")
    first = await room.come_back("ann", policy="newest")
    assert (await room.seen()).participants["ann"].owner == "a.ann"
    second = await room.come_back("ann", "b.ann", policy="newest")
    assert (await room.seen()).participants["ann"].owner == "b.ann"
    assert second.head.version == first.head.version + 1
    assert (await room.connections(), await room.recoveries()) == ({"b.ann": "ann"}, {"b.ann"})
    assert (await room.come_back("ann", "b.ann", policy="newest")).head == second.head


async def test_with_newest_those_of_others_stay(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person, policy="newest")
    await room.come_back("ann", "b.ann", policy="newest")
    assert await room.connections() == {"b.ann": "ann", "a.bob": "bob"}
    assert await room.recoveries() == {"b.ann", "a.bob"}


async def test_with_newest_a_connection_goes_that_an_earlier_release_has_attached(room: Room) -> None:
    """It keeps no list of a participant's connections."""
    await room.join("ann")
    await room.join("bob")
    connections = f"js:{{{room.code}}}:connections"
    await room.redis.execute("HSET", connections, "c:old", "ann")
    await room.redis.execute("HINCRBY", connections, "n:ann", 1)
    await room.come_back("ann", "b.ann", policy="newest")
    assert await room.connections() == {"b.ann": "ann", "a.bob": "bob"}
    assert (await room.fields("connections"))["n:ann"] == "1"


async def test_with_reject_a_second_connection_is_refused_while_the_first_is_there(room: Room) -> None:
    await room.join("ann", policy="reject")
    with pytest.raises(SessionError, match="limit-reached: Already connected elsewhere"):
        await room.come_back("ann", "b.ann", policy="reject")
    await room.come_back("ann", policy="reject")
    await room.detach("a.ann")
    await room.come_back("ann", "b.ann", policy="reject")
    assert await room.connections() == {"b.ann": "ann"}
    # A recovered one takes the place of the first.
    await room.come_back("ann", "a.ann", policy="reject", recovery="b.ann", recovering=True)
    assert await room.connections() == {"a.ann": "ann"}


# Leaving


async def test_whoever_leaves_by_one_of_two_connections_stays_by_the_other(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.come_back("bob", "b.bob")
    before = await room.version()
    assert await room.leave("bob") == before
    assert (await room.connections(), await room.recoveries()) == (
        {"a.ann": "ann", "b.bob": "bob"},
        {"a.ann", "b.bob"},
    )
    assert await room.leave("bob", "b.bob") == before + 1
    assert (await room.people(), await room.recoveries()) == (["ann"], {"a.ann"})


async def test_leaving_repeated_by_another_connection_takes_that_one_along(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.come_back("bob", "b.bob")
    left = await room.leave("bob", key="k")
    assert await room.leave("bob", "a.ann", key="k") == left, "somebody else's"
    assert await room.people() == ["ann", "bob"]
    assert await room.leave("bob", "b.bob", key="k") == left
    assert (await room.people(), await room.connections()) == (["ann"], {"a.ann": "ann"})


async def test_whoever_leaves_for_good_has_no_recovery_id_left(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.join("bob", "b.bob", credential=room.token("bob"))
    await room.detach("b.bob")
    await room.leave("bob")
    assert await room.recoveries() == {"a.ann"}


async def test_whoever_asks_for_the_session_gets_it_as_a_read_shows_it(room: Room) -> None:
    await room.join("ann")
    attached = await room.join("bob", name="Bob", with_session=True)
    seen = await room.seen()
    assert attached.session == seen
    assert attached.session is not None
    assert attached.session.head == attached.head
    assert attached.extended is not None
    assert attached.extended.expires_at == seen.expires_at == await room.lives()
    assert attached.extended.deadline == seen.deadline
    assert abs(attached.extended.now - await room.now()) < 5000
    assert (await room.join("cid")).session is None
