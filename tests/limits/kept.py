"""Attempts on what a session keeps of people: ratings of those who are gone, and replies to repeat."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.harness.people import movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []


@exceeds("Departed participants whose ratings count")
async def coming_and_vanishing_with_a_rating_left_each_time(redis: RedisServer) -> None:
    async with limited(redis, grace=0.05) as replica:
        made = await replica.api.create(movies=[movie("a")])
        for _ in range(4):
            socket = await Socket.open(replica.here.url)
            assert (await socket.emit("join-session", made.code))["ok"]
            assert (await socket.emit("vote", {"movieID": "a", "rating": 1}))["ok"]
            await socket.close()

            async def gone() -> bool:
                return not (await replica.api.read(made.code))["sessionData"]["participants"]

            await until(gone, "the grace time is over")
        (entry,) = (await replica.api.read(made.code))["sessionData"]["movies"]
        assert entry["vetoes"] == 1
        assert len(await redis.call("HKEYS", f"js:{{{made.code}}}:votes")) == 1


@exceeds("Stored replies for idempotency keys")
async def more_keys_than_are_kept_for_a_caller(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        async with open_sockets([replica.here.url], 1) as (host,):
            assert (await host.emit("join-session", made.code))["ok"]
            titles = [{"title": f"t{number}", "mid": f"k{number}"} for number in range(201)]
            acks = await asyncio.gather(*(host.emit("update-session", title) for title in titles))
            assert await host.emit("update-session", titles[1]) == acks[1]
            again = await host.emit("update-session", titles[0])
            assert again["version"] > acks[-1]["version"]


@exceeds("Bytes of stored replies")
async def more_replies_than_a_session_keeps(redis: RedisServer) -> None:
    """Those of the host outlive those of people who have left, and newcomers find room."""
    async with limited(redis, grace=60) as replica:
        made = await replica.api.create(movies=[movie("a")])
        # Acknowledgements as long as the movies' ids, but below 4 KiB, so that they are kept as they are.
        movies = [movie("m" * 60 + str(number)) for number in range(50)]
        async with open_sockets([replica.here.url], 2) as (host, newcomer):
            assert (await host.emit("join-session", made.code))["ok"]
            friday = {"title": "Friday", "mid": "host's"}
            first = await host.emit("update-session", friday)
            assert (await host.emit("add-movie", {"movies": movies}))["ok"]
            for _ in range(2):
                async with open_sockets([replica.here.url], 18) as crowd:
                    await asyncio.gather(*(fill(socket, made.code, movies) for socket in crowd))
            size = await redis.call("MEMORY", "USAGE", f"js:{{{made.code}}}:replies", "SAMPLES", 0)
            assert 1.5 * 2**20 < int(size) < 2.5 * 2**20

            assert (await newcomer.emit("join-session", made.code))["ok"]
            vote = {"movieID": "a", "rating": 4, "mid": "mine"}
            ack = await newcomer.emit("vote", vote)
            await newcomer.emit("vote", {"movieID": "a", "rating": 5})
            assert await newcomer.emit("vote", vote) == ack
            assert await host.emit("update-session", friday) == first


async def fill(socket: Socket, code: str, movies: list[dict[str, Any]]) -> None:
    """Has as much kept as a caller may, and leaves."""
    assert (await socket.emit("join-session", code))["ok"]
    acks = [socket.emit("add-movie", {"movies": movies, "mid": f"k{number}"}) for number in range(18)]
    assert all(ack["ok"] for ack in await asyncio.gather(*acks))
    assert (await socket.emit("leave-session", {"mid": "bye"}))["ok"]
