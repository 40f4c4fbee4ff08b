"""What replicas hear of a session: every change, once, with where the session stands then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from app.redis_client.reply import array
from app.store.scripts import SESSION_SCRIPTS
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.steps.room import GRACE, Room

CHANGES: Final[dict[str, Callable[[Room], Awaitable[object]]]] = {
    "join": lambda room: room.join("cid"),
    "detach": lambda room: room.detach("a.bob"),
    "leave": lambda room: room.leave("bob"),
    "reap": lambda room: room.sessions.reap(room.code, "a", grace=GRACE),
    "add movies": lambda room: room.add("ann", "m3"),
    "remove movie": lambda room: room.take_off("ann", "m1"),
    "vote": lambda room: room.vote("ann", "m1", 5),
    "rename": lambda room: room.rename("ann", "Ann"),
    "update": lambda room: room.update("ann", title="x"),
    "kick": lambda room: room.remove("ann", "bob"),
    "transfer": lambda room: room.hand_over("ann", "bob"),
    "rotate": lambda room: room.rotate(room.host_token()),
}
NO_CHANGES: Final[dict[str, Callable[[Room], Awaitable[object]]]] = {
    "join again": lambda room: room.come_back("bob"),
    "detach nobody": lambda room: room.detach("a.nobody"),
    "sweep": lambda room: room.sessions.sweep(room.code, grace=GRACE),
    "reap nobody": lambda room: room.sessions.reap(room.code, "b", grace=GRACE),
    "touch": lambda room: room.sessions.touch(room.code, least=0),
    "no rating": lambda room: room.vote("ann", "m1", 0),
}


@pytest.fixture
async def room(room: Room) -> Room:
    for person in ("ann", "bob"):
        await room.join(person)
    return room


class Feed:
    """What is announced of a session."""

    def __init__(self, room: Room, subscribed: PubSub) -> None:
        self._room = room
        self._subscribed = subscribed

    async def heard(self) -> list[str]:
        """What was announced since the last call, but for the times, which are now."""
        await self._room.redis.execute("SPUBLISH", KEYS.channel(self._room.code), "no more")
        now = await self._room.now()
        found: list[str] = []
        while (message := await self._subscribed.get_message(timeout=5)) is not None:
            text = message["data"].decode()
            if text == "no more":
                return found
            what, time = text.rsplit(" ", 1)
            assert now - 60_000 < int(time) <= now
            found.append(what)
        raise AssertionError("the feed has ended")


@pytest.fixture
async def feed(room: Room, redis: RedisServer) -> AsyncIterator[Feed]:
    async with Redis(unix_socket_path=redis.address.host) as client, client.pubsub() as subscribed:
        await subscribed.ssubscribe(KEYS.channel(room.code))
        assert await subscribed.get_message(timeout=5)
        yield Feed(room, subscribed)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_every_change_is_announced_once(
    room: Room, feed: Feed, change: Callable[[Room], Awaitable[object]]
) -> None:
    before = await room.version()
    await change(room)
    assert await room.version() == before + 1
    assert await feed.heard() == [f"first-{before + 1} "]


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
    assert await feed.heard() == ["ended "]


async def test_a_new_epoch_is_announced_before_what_is_done_in_it(room: Room, feed: Feed) -> None:
    room.sessions.watch(room.code)
    version = await room.version()
    await room.put(version=version - 1)
    await room.vote("ann", "m1", 5)
    epoch = (await room.seen()).head.epoch
    assert await feed.heard() == [f"{epoch}-{version} ", f"{epoch}-{version + 1} "]


@pytest.mark.parametrize(("seen", "announced"), [(2, 0), (99, 1)])
async def test_a_step_says_how_much_it_has_announced(room: Room, seen: int, announced: int) -> None:
    call = orjson.dumps({"seen": {"first": seen}})
    reply = await room.redis.run(SESSION_SCRIPTS.new_epoch, KEYS.session_keys(room.code), [call])
    assert array(reply)[2] == announced
