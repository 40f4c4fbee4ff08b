"""Attempts on what a session keeps of people: ratings of those who are gone, and replies to repeat."""

from __future__ import annotations

from tests.harness.people import movie
from tests.harness.redis import RedisServer, until
from tests.harness.sockets import Socket
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []


@exceeds("Absent people whose ratings count")
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
