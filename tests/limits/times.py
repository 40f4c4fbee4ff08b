"""Attempts on how long a session lives, and on how much there is to do for that."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from tests.harness.here import Here
from tests.harness.metrics import scrape
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []

_WATCHED: Final = 2.5


@exceeds("Minimum lifetime set by the creator or host")
async def a_shorter_lifetime(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made, headers = await replica.api.create(ttlSeconds=60), replica.headers
        for seconds in (0.001, 59.9):
            asked = {"ttlSeconds": seconds}
            for method, path in (("POST", "/api/session/create"), ("PATCH", made.path)):
                answer = await replica.api.call(method, path, token=made.host_token, json=asked, headers=headers)
                assert (answer.status_code, answer.json()["message"]) == (400, "Lifetime must be 60 seconds or more")


@exceeds("Time until the decision, set by the creator or host")
async def a_decision_too_soon_or_too_late(redis: RedisServer) -> None:
    async with limited(redis, max_lifetime=7200) as replica:
        made, headers = await replica.api.create(ttlSeconds=60), replica.headers
        refusals: list[tuple[float, int, str]] = [
            (4.9, 400, "Time until the decision must be 5 or more"),
            (7200.1, 400, "Time until the decision must be 7200 seconds or less"),
            (7200, 409, "The session ends before that"),
        ]
        for seconds, status, message in refusals:
            asked = {"decideInSeconds": seconds}
            answer = await replica.api.call("PATCH", made.path, token=made.host_token, json=asked, headers=headers)
            assert (answer.status_code, answer.json()["message"]) == (status, message)
        state = await replica.api.read(made.code)
        assert state["meta"]["decideAt"] is None


@exceeds("Extensions of the lifetime by presence")
async def a_lifetime_that_has_to_be_extended_all_the_time(redis: RedisServer) -> None:
    async with limited(redis, lifetime=0.001, min_lifetime=0.001) as replica:
        made = await replica.api.create(ttlSeconds=3)
        sockets = [await Socket.open(replica.here.url) for _ in range(3)]
        for socket in sockets:
            assert (await socket.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        started, before = time.monotonic(), await _extensions(replica.here)
        assert (await sockets[0].emit("update-session", {"ttlSeconds": 0.001}))["ok"]
        await asyncio.sleep(_WATCHED)
        extended = await _extensions(replica.here) - before
        assert 0 < extended <= 1 + time.monotonic() - started, extended
        assert (await sockets[0].emit("update-session", {"title": "alive"}))["ok"]
        for socket in sockets:
            await socket.close()


async def _extensions(replica: Here) -> float:
    return (await scrape(replica)).value("join_session_redis_command_duration_seconds_count", command="touch")
