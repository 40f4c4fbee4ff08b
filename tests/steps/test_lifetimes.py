"""How long a session lives, what lives with it, and who is told; and how it begins."""

from __future__ import annotations

import pytest

from app.redis_client.reply import array, integer
from app.sessions.errors import SessionError
from app.store.scripts import SESSION_SCRIPTS
from tests.harness.keys import KEYS
from tests.steps.room import DAY, LIFETIME, REST, SURPLUS, Room, details, new_session

# Milliseconds that a step may take.
SOON = 5000


async def listed(room: Room) -> int:
    """When the list of sessions believes that the session expires."""
    await room.sessions.close()
    return integer(await room.redis.execute("ZSCORE", KEYS.sessions, room.code) or 0)


# Beginning


async def test_a_session_begins_as_it_was_asked_for(empty: Room) -> None:
    before = await empty.now()
    await empty.create(title="Friday", capacity=7)
    session = await empty.seen()
    assert (session.instance, *session.head) == (empty.instance, "first", 1)
    assert (session.title, session.capacity, session.locked, session.host) == ("Friday", 7, False, None)
    assert before <= session.created_at <= await empty.now()
    assert session.deadline == session.created_at + DAY
    assert session.expires_at == session.created_at + LIFETIME
    assert [(movie.id, movie.added_by) for movie in session.movies.values()] == [("m1", None), ("m2", None)]
    fields = await empty.fields()
    assert (fields["films"], fields["bytes"]) == ("2", str(2 * len(details("m1").details)))
    assert {"title", "unjoined"} - set(await (await Room(empty.redis, empty.sessions).create()).fields())


async def test_made_again_by_the_same_instance_it_is_the_same_session(room: Room) -> None:
    await room.join("ann")
    before = await room.seen()
    assert await room.sessions.create({room.code: room.instance}, new_session(title="Another")) == room.code
    assert await room.seen() == before


async def test_nobody_else_gets_a_code_that_is_taken_or_rests(room: Room) -> None:
    await room.join("ann")
    before = await room.seen()
    assert await room.sessions.create({room.code: "another"}, new_session()) is None
    assert await room.seen() == before
    await room.end("ann")
    for instance in ("another", room.instance):
        assert await room.sessions.create({room.code: instance}, new_session()) is None


async def test_a_session_without_its_reservation_has_its_code_all_the_same(room: Room) -> None:
    await room.redis.execute("UNLINK", KEYS.reservation(room.code))
    before = await room.seen()
    assert await room.sessions.create({room.code: "another"}, new_session()) is None
    assert await room.seen() == before


async def test_a_session_whose_instance_lost_its_code_is_not_the_same(room: Room) -> None:
    await room.redis.execute("SET", KEYS.reservation(room.code), "another")
    assert await room.sessions.create({room.code: "another"}, new_session()) is None


async def test_what_an_older_version_has_left_of_the_session_before_is_gone(empty: Room) -> None:
    for kept in ("absent", "former", "repliers"):
        await empty.redis.execute("ZADD", f"{KEYS.session(empty.code)}:{kept}", 1, "somebody")
    await empty.create()
    assert await empty.redis.execute("KEYS", f"*{empty.code}*[a-z]") == [KEYS.reservation(empty.code).encode()]


# Living on


async def test_every_change_extends_the_session_by_its_lifetime(empty: Room) -> None:
    await empty.create(lifetime=LIFETIME)
    await empty.join("ann")
    changes = (
        lambda: empty.come_back("ann"),
        lambda: empty.add("ann", "m3"),
        lambda: empty.vote("ann", "m1", 5),
        lambda: empty.take_off("ann", "m3"),
        lambda: empty.rename("ann", "Ann"),
        lambda: empty.update("ann", title="x"),
        lambda: empty.rotate(empty.host_token()),
        lambda: empty.join("bob"),
        lambda: empty.hand_over("ann", "bob"),
        lambda: empty.leave("ann"),
        lambda: empty.join("cid"),
        lambda: empty.remove("bob", "cid"),
        lambda: empty.sessions.touch(empty.code, least=0),
    )
    for change in changes:
        await empty.redis.execute("PEXPIRE", KEYS.session(empty.code), LIFETIME // 2)
        await change()
        left = await empty.lives() - await empty.now()
        assert LIFETIME - SOON < left <= LIFETIME


async def test_what_nobody_asked_for_extends_nothing(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    expires = await room.now() + LIFETIME // 2
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), expires)
    await room.detach("a.ann", grace=0)
    await room.sessions.sweep(room.code, grace=1)
    await room.sessions.reap(room.code, "a", grace=1)
    with pytest.raises(SessionError, match="movie-not-found"):
        await room.vote("bob", "none", 5, key="k")
    assert await room.lives() == expires


async def test_a_longer_life_is_not_cut_short(room: Room) -> None:
    expires = await room.now() + 2 * LIFETIME
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), expires)
    await room.join("ann")
    assert await room.lives() == expires


async def test_a_session_lives_on_as_long_as_is_said_at_least_but_not_beyond_its_deadline(room: Room) -> None:
    await room.join("ann")
    extended = await room.sessions.touch(room.code, least=2 * LIFETIME)
    session = await room.seen()
    assert abs(extended.now - await room.now()) < SOON
    assert extended.now + 2 * LIFETIME == extended.expires_at == session.expires_at
    assert (extended.deadline, extended.lifetime) == (session.deadline, LIFETIME)
    assert (await room.sessions.touch(room.code, least=2 * DAY)).expires_at == session.deadline


@pytest.mark.parametrize("unjoined", [None, LIFETIME // 2])
async def test_a_session_ends_at_its_deadline_whatever_its_lifetime(empty: Room, unjoined: int | None) -> None:
    await empty.create(max_lifetime=LIFETIME // 4, unjoined=unjoined)
    session = await empty.seen()
    assert session.expires_at == session.deadline == session.created_at + LIFETIME // 4


async def test_until_somebody_joins_a_session_lives_for_less(empty: Room) -> None:
    unjoined = LIFETIME // 2
    await empty.create(unjoined=unjoined)
    session = await empty.seen()
    assert session.expires_at == session.created_at + unjoined
    assert await listed(empty) == session.expires_at
    await empty.update(empty.host_token(), title="x")
    assert await empty.lives() < session.created_at + unjoined + SOON
    await empty.join("ann")
    assert await empty.lives() >= session.created_at + LIFETIME
    # And for as long from then on.
    await empty.leave("ann")
    await empty.redis.execute("PEXPIRE", KEYS.session(empty.code), LIFETIME // 2)
    await empty.sessions.touch(empty.code, least=0)
    assert await empty.lives() > await empty.now() + LIFETIME - SOON


async def test_what_is_kept_of_a_session_lives_as_long_as_it_does_and_its_code_rests_after_it(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.vote("bob", "m1", 5, key="k")
    await room.leave("bob")
    for kept in ("votes", "connections", "replies", "absent", "former", "repliers"):
        assert await room.keeps(kept), kept
    assert await room.lives("code") == await room.lives("votes") + REST


async def test_what_is_kept_of_a_session_is_extended_only_when_the_session_would_outlive_it(room: Room) -> None:
    await room.join("ann")
    code = f"{KEYS.session(room.code)}:code"
    kept = await room.lives("connections")
    await room.redis.execute("PEXPIREAT", code, kept + REST - 1)
    await room.vote("ann", "m1", 5)
    assert await room.lives("votes") == kept - 1
    assert await room.lives("connections") == kept
    await room.redis.execute("PEXPIREAT", code, await room.lives() + REST - 1)
    await room.vote("ann", "m1", 4)
    for extended in ("votes", "connections"):
        assert await room.lives(extended) == await room.lives() + SURPLUS, extended
    assert await room.lives("code") == await room.lives() + SURPLUS + REST


async def test_the_list_hears_of_a_session_when_its_life_has_grown_by_more_than_a_tenth(room: Room) -> None:
    assert await listed(room) == await room.lives()
    expires = await room.now() + 2 * LIFETIME
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), expires)
    known = expires - LIFETIME // 10
    await room.redis.execute("ZADD", KEYS.sessions, known, room.code)
    await room.put(listed=known)
    await room.sessions.touch(room.code, least=0)
    assert (await listed(room), (await room.fields())["listed"]) == (known, str(known))
    await room.put(listed=known - 1)
    await room.sessions.touch(room.code, least=0)
    assert (await listed(room), (await room.fields())["listed"]) == (expires, str(expires))


async def test_a_session_that_ends_leaves_the_list(room: Room) -> None:
    await room.end(room.host_token())
    assert await listed(room) == 0


# Its time is over


async def expired(room: Room) -> None:
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), 1)


async def announced(room: Room) -> int:
    """How often the end of the session is announced when it is ended once more."""
    reply = await room.redis.run(SESSION_SCRIPTS.expire, KEYS.session_keys(room.code), ["{}"])
    return integer(array(reply)[3])


async def test_a_session_whose_time_is_over_ends_once_and_its_code_rests_on(room: Room) -> None:
    await room.join("ann")
    await room.vote("ann", "m1", 5, key="k")
    free = await room.lives("code")
    await expired(room)
    assert [await announced(room) for _ in range(3)] == [1, 0, 0]
    assert await room.sessions.expire(room.code) == 0
    assert await room.redis.execute("KEYS", f"*{room.code}*") == [KEYS.reservation(room.code).encode()]
    assert await room.lives("code") == free
    assert await room.sessions.end_reason(room.code, room.instance) == "expired"
    with pytest.raises(SessionError, match="session-not-found"):
        await room.vote("ann", "m1", 4)
    for instance in ("another", room.instance):
        assert await room.sessions.create({room.code: instance}, new_session()) is None


async def test_a_session_that_lives_longer_than_it_is_listed_for_is_listed_again(room: Room) -> None:
    before = await room.seen()
    assert await room.sessions.expire(room.code) == await room.lives()
    assert await room.seen() == before


async def test_a_session_that_was_ended_does_not_expire_as_well(room: Room) -> None:
    await room.end(room.host_token())
    assert await announced(room) == 0
    assert await room.sessions.end_reason(room.code, room.instance) == "ended"
