"""Replies to idempotency keys: kept for ten minutes, within bounds, and nothing is refused because of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from app.sessions.permissions import Action
from app.store.calls import fingerprint
from tests.harness.here import Here, served_here
from tests.harness.keys import KEYS
from tests.harness.people import Api, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets

MOST: Final = 200
MINUTES: Final = 60_000


class Desk:
    """A session with its host's socket, and the hash that has its replies."""

    def __init__(self, redis: RedisServer, replica: Here, code: str, host: Socket) -> None:
        self.redis = redis
        self.url = replica.url
        self.code = code
        self.host = host
        self.replies, self.repliers = (f"{KEYS.session(code)}:{part}" for part in ("replies", "repliers"))

    async def title(self, title: str, mid: str) -> int:
        """The version at which the host has made this the title."""
        ack = await self.host.emit("update-session", {"title": title, "mid": mid})
        assert ack["ok"], ack
        version: int = ack["version"]
        return version

    async def age(self, milliseconds: int) -> None:
        """Makes all replies so much older."""
        fields = await self.redis.call("HGETALL", self.replies)
        for name, value in fields.items():
            if re.fullmatch(rb"#\S+ \d+", name):
                at, _, rest = value.decode().partition(" ")
                await self.redis.call("HSET", self.replies, name.decode(), f"{int(at) - milliseconds} {rest}")
        for whose in await self.redis.call("ZRANGE", self.repliers, 0, -1):
            await self.redis.call("ZINCRBY", self.repliers, -milliseconds, whose.decode())


@asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[Desk]:
    async with RedisServer() as redis, served_here(redis.url(), **settings) as (replica,):
        api = Api([replica])
        made = await api.create(movies=[movie("a")], capacity=200)
        await api.close()
        async with open_sockets([replica.url], 1) as (host,):
            assert (await host.emit("join-session", made.code, {"token": made.host_token}))["ok"]
            yield Desk(redis, replica, made.code, host)


async def test_however_many_keys_there_are_no_change_is_refused_because_of_them() -> None:
    async with desk() as room:
        # As an older version has written them.
        strays = [text for number in range(20_000) for text in (f"somebody k{number}", 'f ["ok",1]')]
        await room.redis.call("HSET", room.replies, *strays)
        assert await room.title("Still ours", "new")


async def test_of_a_callers_replies_the_newest_two_hundred_are_kept() -> None:
    async with desk() as room:
        versions = await asyncio.gather(*(room.title(f"t{number}", f"k{number}") for number in range(MOST + 1)))
        assert await room.title("t200", "k200") == versions[-1]
        assert await room.title("t1", "k1") == versions[1]
        assert await room.title("t0", "k0") > versions[-1], "the oldest gave way"


async def test_a_long_reply_is_kept_as_what_makes_it_anew() -> None:
    async with desk() as room:
        movies = [movie("ü" * 60 + str(number)) for number in range(100)]
        assert (await room.host.emit("add-movie", {"movies": movies[::3]}))["ok"]
        first = await room.host.emit("add-movie", {"movies": movies, "mid": "many"})
        assert (len(first["added"]), len(first["present"])) == (66, 34)
        assert await room.host.emit("add-movie", {"movies": movies, "mid": "many"}) == first
        assert (await room.host.emit("add-movie", {"movies": movies[1:], "mid": "many"}))["code"] == (
            "idempotency-mismatch"
        )
        values = await room.redis.call("HVALS", room.replies)
        assert max(map(len, values)) <= 4096


async def test_after_ten_minutes_a_key_is_new_again_and_its_reply_goes() -> None:
    async with desk() as room:
        first = await room.title("Friday", "once")
        await room.age(9 * MINUTES)
        assert await room.title("Friday", "once") == first
        async with open_sockets([room.url], 20) as others:
            for other in others:
                assert (await other.emit("join-session", room.code))["ok"]
                assert (await other.emit("vote", {"movieID": "a", "rating": 3, "mid": "v"}))["ok"]
            await room.age(2 * MINUTES)
            again = await room.title("Friday", "once")
            assert again > first
            # Of the others' replies, which are two minutes old, and of the host's new one nothing goes.
            assert len(await left(room)) == 20
            await room.age(11 * MINUTES)
            await asyncio.gather(*(room.title("x", f"later{number}") for number in range(30)))
            assert await left(room) == [], "each write removes a few that have expired, whoever's they are"


async def left(room: Desk) -> list[bytes]:
    """The replies to votes that are kept."""
    return [name for name in await room.redis.call("HKEYS", room.replies) if name.endswith(b" v")]


async def test_replies_are_kept_as_an_older_version_reads_and_writes_them() -> None:
    async with desk() as room:
        joined = await room.host.emit("join-session", room.code)
        wanted = fingerprint(Action.VOTE, {"movie": "a", "rating": 5, "max_movies": 500})
        name = f"{joined['participantID']} old"
        await room.redis.call("HSET", room.replies, name, f'{wanted} ["ok",1]')
        ack = await room.host.emit("vote", {"movieID": "a", "rating": 5, "mid": "old"})
        assert (ack["ok"], ack["version"]) == (True, 1), "written by an older version"

        ack = await room.host.emit("vote", {"movieID": "a", "rating": 5, "mid": "new"})
        kept = await room.redis.call("HGET", room.replies, f"{joined['participantID']} new")
        assert kept.decode() == f'{wanted} ["ok",{ack["version"]}]'
