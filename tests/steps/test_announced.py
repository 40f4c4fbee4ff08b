"""What replicas hear of a session: every change, once, with where the session stands then and what was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from app.redis_client.reply import array, mapping
from app.sessions.head import Head
from app.sessions.permissions import Action
from app.sessions.steps import NewMovie
from app.store.mirror import SessionMirror
from app.store.scripts import SESSION_SCRIPTS, SessionScripts
from app.store.session_hash import StoredSession, is_mirrored
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.steps.room import GRACE, Room


async def all_but_one_rating(room: Room) -> None:
    """The last rating of all is m2's by Bob."""
    await room.update("ann", decide_when="all-rated", decide_delay=60_000)
    for person, movie in (("ann", "m1"), ("ann", "m2"), ("bob", "m1")):
        await room.vote(person, movie, 4)


async def overdue(room: Room) -> None:
    await room.vote("ann", "m1", 4)
    await room.update("ann", timer=1)
    await asyncio.sleep(0.01)


CHANGES: Final[dict[str, Callable[[Room], Awaitable[object]]]] = {
    "join": lambda room: room.join("cid"),
    "join as somebody else": lambda room: room.come_back("bob", "a.ann"),
    "join in place of another connection": lambda room: room.come_back("bob", "b.bob", policy="newest"),
    "observe": lambda room: room.join("nobody", "a.screen", observing=True),
    "observe in place of a participant": lambda room: room.join("nobody", "a.bob", observing=True),
    "sweep": lambda room: room.sessions.sweep(room.code, grace=GRACE),
    "detach": lambda room: room.detach("a.bob"),
    "leave": lambda room: room.leave("bob"),
    "reap": lambda room: room.sessions.reap(room.code, "a", grace=GRACE),
    "add movies": lambda room: room.add("ann", "m3"),
    "remove movie": lambda room: room.take_off("ann", "m1"),
    "vote": lambda room: room.vote("ann", "m1", 5),
    "last rating of all": lambda room: room.vote("bob", "m2", 3),
    "decide": lambda room: room.decide("ann", "m1"),
    "decide due": lambda room: room.sessions.decide_due(room.code),
    "reopen": lambda room: room.reopen("ann", "movies"),
    "hide the ratings": lambda room: room.update("ann", reveal="decided"),
    "decide by time": lambda room: room.update("ann", timer=60_000),
    "rename participant": lambda room: room.rename("ann", "Ann"),
    "update session": lambda room: room.update("ann", title="x"),
    "remove participant": lambda room: room.remove("ann", "bob"),
    "transfer host": lambda room: room.hand_over("ann", "bob"),
    "rotate host token": lambda room: room.rotate(room.host_token()),
}
# What happens before the change.
BEFORE: Final[dict[str, Callable[[Room], Awaitable[object]]]] = {
    "sweep": lambda room: room.detach("a.bob", grace=0),
    "last rating of all": all_but_one_rating,
    "decide due": overdue,
    "reopen": lambda room: room.decide("ann", "m1"),
}
NO_CHANGES: Final[dict[str, Callable[[Room], Awaitable[object]]]] = {
    "join again": lambda room: room.come_back("bob"),
    "detach nobody": lambda room: room.detach("a.nobody"),
    "sweep nobody": lambda room: room.sessions.sweep(room.code, grace=GRACE),
    "reap nobody": lambda room: room.sessions.reap(room.code, "b", grace=GRACE),
    "decide before it is due": lambda room: room.sessions.decide_due(room.code),
    "touch": lambda room: room.sessions.touch(room.code, least=0),
    "authorize": lambda room: room.sessions.authorize(room.code, room.person("ann", Action.VOTE)),
    "no rating": lambda room: room.vote("ann", "m1", 0),
}


@pytest.fixture
async def room(room: Room) -> Room:
    for person in ("ann", "bob"):
        await room.join(person)
    return room


@dataclass(frozen=True)
class Heard:
    """An announcement, but for its time, which is now, and the time of expiry, which is the session's."""

    what: str
    fields: dict[str, str | None] | None = None


class Feed:
    """What is announced of a session."""

    def __init__(self, room: Room, subscribed: PubSub) -> None:
        self._room = room
        self._subscribed = subscribed

    async def raw(self) -> list[str]:
        """What was announced since the last call, as it was published."""
        await self._room.redis.execute("SPUBLISH", KEYS.channel(self._room.code), "no more")
        found: list[str] = []
        while (message := await self._subscribed.get_message(timeout=5)) is not None:
            text = message["data"].decode()
            if text == "no more":
                return found
            found.append(text)
        raise AssertionError("the feed has ended")

    async def heard(self) -> list[Heard]:
        """The changes that were announced since the last call."""
        now, expires = await self._room.now(), await self._room.lives()
        found: list[Heard] = []
        for text in await self.raw():
            what, trace, time, *rest = text.split(" ", 3)
            assert trace == ""
            assert now - 60_000 < int(time) <= now
            told: dict[str, Any] = orjson.loads(rest[0]) if rest else {"expires": expires}
            assert told.pop("expires") == expires
            found.append(Heard(what, told.pop("fields", None)))
            told.pop("rerated", None)
            assert not told
        return found


async def stored(room: Room) -> StoredSession:
    fields = mapping(await room.redis.execute("HGETALL", KEYS.session(room.code)))
    head = Head(fields[b"epoch"].decode(), int(fields[b"version"]))
    return StoredSession(room.code, fields, await room.lives(), head)


@pytest.fixture
async def feed(room: Room, redis: RedisServer) -> AsyncIterator[Feed]:
    async with Redis(unix_socket_path=redis.address.host) as client, client.pubsub() as subscribed:
        await subscribed.ssubscribe(KEYS.channel(room.code))
        assert await subscribed.get_message(timeout=5)
        yield Feed(room, subscribed)


@pytest.mark.parametrize("name", CHANGES)
async def test_every_change_is_announced_once_with_what_it_has_written(room: Room, feed: Feed, name: str) -> None:
    if before := BEFORE.get(name):
        await before(room)
        await feed.raw()
    mirror = SessionMirror(room.code, 200)
    known = mirror.read(await stored(room)).head
    await CHANGES[name](room)
    after = Head(known.epoch, known.version + 1)
    [heard] = await feed.heard()
    assert heard.what == str(after)
    assert heard.fields is not None
    told = {name.encode(): None if value is None else value.encode() for name, value in heard.fields.items()}
    assert all(map(is_mirrored, told))
    now = await stored(room)
    assert mirror.apply(after, now.expires_at, told)
    assert mirror.session == SessionMirror(room.code, 200).read(now)


async def test_every_step_is_among_those_that_are_tried() -> None:
    tried = {name.replace(" ", "_") for name in (*CHANGES, *NO_CHANGES)}
    others = {"create", "end_session", "expire", "new_epoch"}
    assert {field.name for field in fields(SessionScripts)} - others <= tried


async def test_of_a_large_change_only_the_head_is_announced(room: Room, feed: Feed) -> None:
    movies = [NewMovie(f"n{number}", f'{{"title":"{"x" * 1000}"}}') for number in range(20)]
    await room.sessions.add_movies(
        room.code, room.person("ann", Action.ADD_MOVIES), movies, max_movies=100, max_bytes=100_000
    )
    [heard] = await feed.heard()
    assert heard.fields is None


async def test_the_first_later_time_of_expiry_is_announced(room: Room, feed: Feed) -> None:
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), await room.lives() - 120_000)
    await room.put(heard=await room.lives())
    await room.sessions.touch(room.code, least=0)
    assert await feed.raw() == [f"expires {await room.lives()}"]


async def test_in_a_session_of_the_version_before_it_is_announced_at_once(room: Room, feed: Feed) -> None:
    await room.redis.execute("HDEL", KEYS.session(room.code), "heard")
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), await room.lives() - 1000)
    await room.sessions.touch(room.code, least=0)
    assert await feed.raw() == [f"expires {await room.lives()}"]


@pytest.mark.parametrize(("moved", "heard"), [(9_000, 0), (11_000, 1)])
async def test_a_later_time_of_expiry_is_announced_once_in_ten_seconds(
    room: Room, feed: Feed, moved: int, heard: int
) -> None:
    expires = await room.lives()
    await room.put(heard=expires)
    await room.redis.execute("PEXPIREAT", KEYS.session(room.code), expires - 30_000)
    await room.put(heard=expires - moved)
    await room.sessions.touch(room.code, least=0)
    found = await feed.raw()
    assert [text.split(" ") for text in found] == [["expires", str(await room.lives())]] * heard
    await room.sessions.touch(room.code, least=0)
    assert await feed.raw() == []


@pytest.mark.parametrize("step", NO_CHANGES.values(), ids=NO_CHANGES)
async def test_what_changes_nothing_is_not_announced(
    room: Room, feed: Feed, step: Callable[[Room], Awaitable[object]]
) -> None:
    before = await room.version()
    await step(room)
    assert await room.version() == before
    assert await feed.heard() == []


async def test_the_end_is_announced(room: Room, feed: Feed) -> None:
    await room.end("ann")
    assert await feed.heard() == [Heard("ended")]


async def test_a_new_epoch_is_announced_before_what_is_done_in_it(room: Room, feed: Feed) -> None:
    room.sessions.watch(room.code)
    version = await room.version()
    await room.put(version=version - 1)
    await room.vote("ann", "m1", 5)
    epoch = (await room.seen()).head.epoch
    assert [heard.what for heard in await feed.heard()] == [f"{epoch}-{version}", f"{epoch}-{version + 1}"]


@pytest.mark.parametrize(("seen", "announced"), [(2, 0), (99, 1)])
async def test_a_step_says_how_much_it_has_announced(room: Room, seen: int, announced: int) -> None:
    call = orjson.dumps({"seen": {"first": seen}})
    reply = await room.redis.run(SESSION_SCRIPTS.new_epoch, KEYS.session_keys(room.code), [call])
    assert array(reply)[3] == announced
