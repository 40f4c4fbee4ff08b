"""Attempts on what a session remembers of connections, and of people who have gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from app.realtime.departures import Departed, Departures
from app.sessions.errors import SessionError
from tests.harness.keys import KEYS
from tests.harness.people import Made
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until
from tests.limits.attempts import Limited, exceeds, limited

__all__: list[str] = []

CAPACITY: Final = 3


@asynccontextmanager
async def joined(replica: Limited, made: Made, options: dict[str, Any] | None = None) -> AsyncIterator[Any]:
    """A client that has joined, with its ack; in the end it is lost."""
    socket = await Socket.open(replica.here.url)
    try:
        ack = await socket.emit("join-session", made.code, options or {})
        assert ack["ok"], ack
        yield socket, ack
    finally:
        await socket.drop()


async def recovery_keys(redis: RedisServer) -> int:
    return len(await redis.call("KEYS", "js:recovery:*"))


async def counted(redis: RedisServer, made: Made, kind: str) -> int:
    names = await redis.call("HKEYS", KEYS.connections(made.code))
    return sum(name.startswith(kind.encode()) for name in names)


async def settles(redis: RedisServer, made: Made, most: int) -> None:
    """Waits until there are at most so many recovery ids, and their keys."""

    async def bounded() -> bool:
        return await recovery_keys(redis) <= most and await counted(redis, made, "r:") <= most

    await until(bounded, f"no more than {most} recovery ids are known", timeout=5)


@exceeds("Recovery ids of a participant")
async def a_participant_who_comes_again_and_again(redis: RedisServer) -> None:
    async with limited(redis, grace=60) as replica:
        made = await replica.api.create()
        async with joined(replica, made) as (_, ack):
            for _ in range(3):
                again = [joined(replica, made, {"token": ack["token"]}) for _ in range(4)]
                sockets = await asyncio.gather(*(each.__aenter__() for each in again))
                await asyncio.gather(*(each.__aexit__(None, None, None) for each in again))
            await settles(redis, made, 3)
            newest, _ = sockets[-1]
            # The newest is good.
            back = await Socket.open(replica.here.url, {"pid": newest.pid, "offset": newest.offset})
            assert (await back.emit("leave-session"))["ok"]
            await back.close()


@exceeds("Observers")
async def more_observers(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        sockets = [await Socket.open(replica.here.url) for _ in range(21)]
        acks = await asyncio.gather(*(socket.emit("join-session", made.code, {"observe": True}) for socket in sockets))
        assert sorted(ack.get("code", "ok") for ack in acks) == ["limit-reached"] + ["ok"] * 20
        assert (await replica.api.read(made.code))["meta"]["observers"] == 20
        await asyncio.gather(*(socket.close() for socket in sockets))


@exceeds("Recovery ids of observers")
async def observers_who_come_and_go(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        for _ in range(50):
            async with joined(replica, made, {"observe": True}):
                pass
        await settles(redis, made, 40)


@exceeds("Recovery ids of all participants")
async def participants_who_come_and_go(redis: RedisServer) -> None:
    async with limited(redis, grace=60, capacity=CAPACITY) as replica:
        made = await replica.api.create()
        async with joined(replica, made) as (stays, first):
            for _ in range(4 * CAPACITY):
                async with joined(replica, made) as (socket, _):
                    await socket.emit("leave-session")
            await settles(redis, made, 2 * CAPACITY)
            await stays.drop()
            back = await Socket.open(replica.here.url, {"pid": stays.pid, "offset": stays.offset})
            assert (await back.emit("vote", {"movieID": "m1", "rating": 5}))["code"] == "movie-not-found"
            assert back.pid == stays.pid, first
            await back.close()


@exceeds("Records of departed participants")
async def people_who_come_and_go(redis: RedisServer) -> None:
    async with limited(redis, grace=0.05, capacity=CAPACITY) as replica:
        made = await replica.api.create()
        async with joined(replica, made, {"name": "Host"}):
            async with joined(replica, made, {"name": "Ann"}) as (_, ann):
                pass

            async def alone() -> bool:
                return len((await replica.api.read(made.code))["sessionData"]["participants"]) == 1

            await until(alone, "the grace time is over")
            for _ in range(4 * CAPACITY):
                async with joined(replica, made) as (socket, _):
                    await socket.emit("leave-session")
            assert await counted(redis, made, "f:") <= 2 * CAPACITY
            assert await redis.call("ZCARD", f"{KEYS.session(made.code)}:former") <= 2 * CAPACITY
            # Whose grace time is over is remembered longer than those who left.
            async with joined(replica, made, {"token": ann["token"]}) as (socket, ack):
                update = await socket.at_version(ack["version"])
                assert [person["name"] for person in update["participants"]] == ["Host", "Ann"]


@exceeds("Banned participants")
async def more_people_to_ban(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        async with joined(replica, made) as (_, one), joined(replica, made) as (_, other):
            await redis.call("HSET", KEYS.session(made.code), "bans", 999)
            path = f"{made.path}/participants"
            answers = [
                await replica.api.call("DELETE", f"{path}/{ack['participantID']}?ban=true", token=made.host_token)
                for ack in (other, one)
            ]
            assert answers[0].status_code == 200
            assert answers[1].json()["code"] in ("limit-reached", "forbidden")
            async with joined(replica, made) as (_, third):
                target = f"{path}/{third['participantID']}"
                answer = await replica.api.call("DELETE", f"{target}?ban=true", token=made.host_token)
                assert (answer.status_code, answer.json()["code"]) == (409, "limit-reached")
                assert (await replica.api.call("DELETE", target, token=made.host_token)).status_code == 200


@exceeds("Participants listed in updates and responses, and on a page of the list")
async def more_people_than_are_listed(redis: RedisServer) -> None:
    async with limited(redis, listed_participants=2) as replica:
        made = await replica.api.create()
        async with joined(replica, made), joined(replica, made), joined(replica, made) as (socket, ack):
            update = await socket.at_version(ack["version"])
            assert (len(update["participants"]), socket.meta["people"]) == (2, 3)
            page = await replica.api.call("GET", f"{made.path}/participants", token=ack["token"])
            assert len(page.json()["participants"]) == 2


@exceeds("Removed participants listed in the session's hash")
async def people_to_kick(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        async with joined(replica, made):
            for _ in range(70):
                async with joined(replica, made) as (_, ack):
                    path = f"{made.path}/participants/{ack['participantID']}"
                    assert (await replica.api.call("DELETE", path, token=made.host_token)).status_code == 200
            fields = await redis.call("HKEYS", KEYS.session(made.code))
            assert sum(field.startswith(b"k:") for field in fields) == 64


@exceeds("Lost connections that wait until Redis is available")
async def more_connections_that_are_gone(redis: RedisServer) -> None:
    """Only those that live are told of once there are too many to remember."""
    told: list[tuple[str, int, bool]] = []
    refused = True

    async def tell(code: str, departed: Departed) -> None:
        if refused:
            raise SessionError("unavailable")
        told.append((code, len(departed.connections), departed.others))

    departures = Departures(tell)
    for number in range(25_000):
        departures.add(f"{number % 2}", f"connection {number}", None)
    await asyncio.sleep(0)
    refused = False
    await departures.settle(5)
    assert sorted(told) == [("0", 10_000, True), ("1", 10_000, True)]
