"""Who may do what: the host, the host token, an operator, everybody else; and how the host's role goes on."""

from __future__ import annotations

import pytest

from app.redis_client.reply import integer, texts
from app.sessions.errors import SessionError
from app.sessions.permissions import Action
from app.sessions.steps import Operator, Removal
from app.sessions.tokens import Credential
from tests.steps.room import LIFETIME, Room, new_session


@pytest.fixture
async def room(room: Room) -> Room:
    """Ann is the host, by having come first; Bob and Cid are there, too."""
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    return room


# Who asks


async def test_nobody_acts_who_is_not_in_the_session(room: Room) -> None:
    with pytest.raises(SessionError, match="not-joined"):
        await room.vote("eve", "m1", 5)
    await room.remove("ann", "bob", "kicked")
    with pytest.raises(SessionError, match="not-joined"):
        await room.vote("bob", "m1", 5)
    await room.remove("ann", "cid", "banned")
    with pytest.raises(SessionError, match="forbidden"):
        await room.vote("cid", "m1", 5)


async def test_a_token_is_good_in_its_own_session_only(room: Room) -> None:
    for credential in (Credential("participant", "another", "ann"), Credential("host", "another", "1")):
        with pytest.raises(SessionError, match="unauthorized"):
            await room.update(credential, title="x")
    with pytest.raises(SessionError, match="session-not-found"):
        await Room(room.redis, room.sessions).update("ann", title="x")


async def test_only_the_newest_host_token_is_good(room: Room) -> None:
    assert await room.rotate(room.host_token(1)) == 2
    with pytest.raises(SessionError, match="unauthorized"):
        await room.update(room.host_token(1), title="x")
    assert await room.update(room.host_token(2), title="x") == await room.version()


async def test_whoever_joins_with_the_host_token_acts_by_it_as_themselves(room: Room) -> None:
    attached = await room.join("stranger", "a.bob", credential=room.host_token())
    assert (attached.participant, await room.host()) == ("bob", "bob")
    await room.vote(room.host_token(), "m1", 5)
    assert (await room.come_back("bob")).votes == {"m1": 5}
    await room.leave("bob")
    with pytest.raises(SessionError, match="not-joined"):
        await room.vote(room.host_token(), "m1", 5)


@pytest.mark.parametrize("who", ["the host", "the host token"])
async def test_the_host_changes_the_session_and_others_do_not(room: Room, who: str) -> None:
    author = "ann" if who == "the host" else room.host_token()
    with pytest.raises(SessionError, match="forbidden"):
        await room.update("bob", title="Bob's")
    assert await room.update(author, title="Friday", capacity=9, locked=True) == await room.version()
    session = await room.seen()
    assert (session.title, session.capacity, session.locked) == ("Friday", 9, True)
    await room.update(author, locked=False)
    session = await room.seen()
    assert (session.title, session.capacity, session.locked) == ("Friday", 9, False)
    await room.update(author, title="")
    assert (await room.seen()).title is None


async def test_a_lifetime_that_is_given_holds_from_then_on_also_where_nobody_has_joined(empty: Room) -> None:
    await empty.create(unjoined=LIFETIME // 2)
    await empty.update(empty.host_token(), title="x")
    assert await empty.lives() <= await empty.now() + LIFETIME // 2
    await empty.update(empty.host_token(), lifetime=2 * LIFETIME)
    assert await empty.lives() > await empty.now() + 2 * LIFETIME - 5000
    assert (await empty.fields())["lifetime"] == str(2 * LIFETIME)


async def test_whether_somebody_may_is_asked_without_a_change(room: Room) -> None:
    before = await room.seen()
    await room.sessions.authorize(room.code, room.person("ann", Action.KICK))
    with pytest.raises(SessionError, match="forbidden"):
        await room.sessions.authorize(room.code, room.person("bob", Action.KICK))
    assert await room.seen() == before


# Names


async def test_everybody_takes_another_name_and_nobody_gives_one(room: Room) -> None:
    before = (await room.seen()).participants["bob"]
    version = await room.rename("bob", "B|b")
    after = (await room.seen()).participants["bob"]
    assert (after.name, after.order, after.joined_at) == ("B|b", before.order, before.joined_at)
    assert await room.rename("bob", "B|b", "bob") == version == await room.version()
    with pytest.raises(SessionError, match="forbidden"):
        await room.rename("ann", "Bob", "bob")
    with pytest.raises(SessionError, match="participant-not-found"):
        await room.rename("ann", "Eve", "eve")
    with pytest.raises(SessionError, match="not-joined"):
        await room.rename(room.host_token(), "Host")


# Removing


@pytest.mark.parametrize("reason", ["kicked", "banned"])
async def test_the_host_removes_others_and_they_are_told_why(room: Room, reason: Removal) -> None:
    version = await room.remove("ann", "bob", reason)
    session = await room.seen()
    assert session.head.version == version
    assert (list(session.participants), session.removed) == (["ann", "cid"], {"bob": reason})
    assert await room.connections() == {"a.ann": "ann", "a.cid": "cid"}
    assert await room.recoveries() == {"a.ann", "a.cid"}
    assert await room.sessions.end_reason(room.code, room.instance, "bob") == "kicked"
    with pytest.raises(SessionError, match="participant-not-found"):
        await room.remove("ann", "bob", reason)
    with pytest.raises(SessionError, match="forbidden"):
        await room.remove("bob" if reason == "banned" else "cid", "ann", reason)


async def test_who_was_kicked_may_come_again_and_who_was_banned_may_not(room: Room) -> None:
    await room.remove("ann", "bob", "kicked")
    await room.remove("ann", "cid", "banned")
    assert (await room.come_back("bob")).participant == "bob"
    with pytest.raises(SessionError, match="forbidden"):
        await room.come_back("cid")
    assert (await room.seen()).removed == {"cid": "banned"}


async def test_who_leaves_by_their_own_token_is_not_kicked(room: Room) -> None:
    await room.remove("ann", "ann", "left")
    assert await room.sessions.end_reason(room.code, room.instance, "ann") == "left"
    assert (await room.people(), await room.host()) == (["bob", "cid"], "bob")
    with pytest.raises(SessionError, match="forbidden"):
        await room.remove("bob", "cid", "left")


async def test_the_host_is_not_kicked_by_themselves(room: Room) -> None:
    with pytest.raises(SessionError, match="forbidden: The host cannot be kicked"):
        await room.remove("ann", "ann")


async def test_who_created_the_session_is_not_kicked_by_who_was_promoted(room: Room) -> None:
    await room.join("stranger", "a.bob", credential=room.host_token())
    await room.put(host="ann")
    with pytest.raises(SessionError, match="forbidden: Who created the session cannot be kicked"):
        await room.remove("ann", "bob")
    with pytest.raises(SessionError, match="forbidden: The host cannot be kicked"):
        await room.remove(room.host_token(), "ann")
    with pytest.raises(SessionError, match="forbidden"):
        await room.remove(room.host_token(), "bob", "banned")
    # By the route that removes others.
    await room.remove(room.host_token(), "bob", "kicked")
    assert await room.sessions.end_reason(room.code, room.instance, "bob") == "left"


async def test_an_operator_removes_anybody_and_the_host_token_goes_with_its_holder(room: Room) -> None:
    kick = room.operator(Action.KICK)
    await room.remove(kick, "cid", "banned")
    assert await room.update(room.host_token(), title="still good")
    await room.remove(kick, "ann")
    assert (await room.host(), await room.people()) == ("bob", ["bob"])
    with pytest.raises(SessionError, match="unauthorized"):
        await room.update(room.host_token(), title="x")


async def test_an_operator_voids_the_host_token_of_its_holder_and_not_of_who_was_promoted(room: Room) -> None:
    await room.join("stranger", "a.bob", credential=room.host_token())
    await room.put(host="ann")
    kick = room.operator(Action.KICK)
    await room.remove(kick, "ann")
    await room.update(room.host_token(), title="still good")
    await room.remove(kick, "bob")
    with pytest.raises(SessionError, match="unauthorized"):
        await room.update(room.host_token(), title="x")
    assert "tokenholder" not in await room.fields()


async def test_an_operator_does_only_what_operators_may(room: Room) -> None:
    operator = room.operator(Action.UPDATE_SESSION)
    with pytest.raises(SessionError, match="forbidden"):
        await room.sessions.remove_participant(room.code, operator, "bob", "kicked")


async def test_a_thousand_people_can_be_banned(room: Room) -> None:
    await room.put(bans=999)
    await room.remove("ann", "bob", "banned")
    assert (await room.fields())["bans"] == "1000"
    with pytest.raises(SessionError, match="limit-reached: As many people are banned"):
        await room.remove("ann", "cid", "banned")
    await room.remove("ann", "cid", "kicked")


async def test_of_those_who_were_told_to_go_the_newest_sixty_four_and_all_who_are_banned_are_told_why(
    empty: Room,
) -> None:
    room = await empty.create(capacity=100)
    for person in ("ann", "bob", "cid"):
        await room.join(person)
    await room.remove("ann", "cid", "kicked")
    await room.come_back("cid")
    await room.remove("ann", "cid", "banned")
    await room.remove("ann", "bob", "kicked")
    for number in range(64):
        await room.join(f"g{number}")
        await room.remove("ann", f"g{number}", "kicked")
    removed = (await room.seen()).removed
    assert removed == {"cid": "banned"} | {f"g{number}": "kicked" for number in range(64)}
    for _ in range(2):
        await room.join("g0")
        await room.remove("ann", "g0", "kicked")
    # Told again, it is the newest, and nobody else gave way.
    assert (await room.seen()).removed == removed
    assert (await room.fields())["told"].split()[-1] == "g0"


# The host's role


async def test_the_host_hands_the_role_over(room: Room) -> None:
    version = await room.hand_over("ann", "bob")
    assert (await room.host(), await room.version()) == ("bob", version)
    with pytest.raises(SessionError, match="forbidden"):
        await room.hand_over("ann", "cid")
    with pytest.raises(SessionError, match="participant-not-found"):
        await room.hand_over("bob", "eve")
    assert await room.hand_over("bob", "bob") == version
    # Ann had been promoted: the token is still good.
    await room.update(room.host_token(), title="x")


@pytest.mark.parametrize("by", ["token", "participant"])
async def test_the_host_token_is_void_when_its_holder_hands_the_role_over(room: Room, by: str) -> None:
    await room.join("stranger", "a.bob", credential=room.host_token())
    await room.hand_over(room.host_token() if by == "token" else "bob", "cid")
    with pytest.raises(SessionError, match="unauthorized"):
        await room.update(room.host_token(), title="x")
    assert await room.host() == "cid"
    with pytest.raises(SessionError, match="forbidden: Only who holds the host token"):
        await room.rotate("cid")


async def test_the_holder_of_the_host_token_renews_it(room: Room) -> None:
    await room.join("stranger", "a.bob", credential=room.host_token())
    before = await room.version()
    assert await room.rotate("bob") == 2
    assert await room.version() == before + 1
    assert await room.rotate(room.host_token(2)) == 3


async def test_the_longest_present_becomes_the_host_those_who_are_connected_first(room: Room) -> None:
    await room.detach("a.bob")
    await room.leave("ann")
    assert await room.host() == "cid"
    await room.leave("cid")
    assert await room.host() == "bob"
    await room.leave("bob")
    assert (await room.host(), (await room.fields())["people"]) == (None, "0")
    await room.join("dan")
    assert await room.host() == "dan"


async def test_of_those_who_are_connected_the_longest_present_becomes_the_host(room: Room) -> None:
    await room.leave("ann")
    assert await room.host() == "bob"
    await room.join("ann")
    await room.detach("a.cid")
    await room.leave("bob")
    assert await room.host() == "ann"


# The end


@pytest.mark.parametrize("who", ["host", "token", "operator"])
async def test_nothing_stays_of_a_session_that_has_ended_but_the_rest_of_its_code(room: Room, who: str) -> None:
    authors: dict[str, Credential | Operator] = {
        "host": room.token("ann"),
        "token": room.host_token(),
        "operator": room.operator(Action.END_SESSION),
    }
    with pytest.raises(SessionError, match="forbidden"):
        await room.end("bob")
    await room.vote("bob", "m1", 5, key="k")
    await room.leave("bob")
    before = await room.version()
    assert await room.end(authors[who]) == before + 1
    keys = texts(await room.redis.execute("KEYS", f"*{room.code}*"))
    assert keys == [f"js:{{{room.code}}}:code"]
    assert await room.redis.execute("GET", keys[0]) == f"ended {room.instance}".encode()
    assert 25_000 < integer(await room.redis.execute("PTTL", keys[0])) <= 30_000
    assert await room.sessions.end_reason(room.code, room.instance) == "ended"


async def test_who_ended_the_session_is_answered_again_and_nobody_else(room: Room) -> None:
    ended = await room.end("ann", key="k")
    assert await room.end("ann", key="k") == ended
    for who, key in (("ann", None), ("ann", "other"), ("bob", "k"), ("an", "k")):
        with pytest.raises(SessionError, match="session-not-found"):
            await room.end(who, key=key)
    with pytest.raises(SessionError, match="idempotency-mismatch"):
        await room.update("ann", key="k", title="x")
    # Under the same code a session begins anew.
    await room.redis.execute("UNLINK", f"js:{{{room.code}}}:code")
    assert await room.sessions.create({room.code: "another"}, new_session()) == room.code
    with pytest.raises(SessionError, match="unauthorized"):
        await room.end("ann", key="k")
