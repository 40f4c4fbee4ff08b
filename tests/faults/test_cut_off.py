"""A replica that was cut off from Redis for longer than its lease: it brings back its people, and nobody who is out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from tests.harness.here import Here, served_here
from tests.harness.keys import KEYS
from tests.harness.people import Api, Made
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until

LEASE: Final = 0.6
USER: Final = "cutoff"
KICKED: Final = 12
LEFT: Final = 12
AWAY: Final = 6


class Scene:
    """Two replicas, of which one can be cut off, and kept from looking at sessions as a busy machine keeps it."""

    def __init__(self, redis: RedisServer, link: FaultProxy, near: Here, far: Here, api: Api) -> None:
        self.redis = redis
        self.link = link
        self.near = near
        self.far = far
        self.api = api

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Meanwhile the far replica has no Redis; after it attaches its members before its rooms look at anything."""
        await self.link.refuse()
        self.link.cut()
        yield
        await self.redis.call("ACL", "SETUSER", USER, "-hgetall")
        await self.link.accept()

    async def look(self) -> None:
        await self.redis.call("ACL", "SETUSER", USER, "+hgetall")

    async def names(self, made: Made) -> dict[str, bool]:
        people = (await self.api.read(made.code))["sessionData"]["participants"]
        return {person["name"]: person["connected"] for person in people}

    async def shows(self, made: Made, expected: dict[str, bool]) -> None:
        async def shown() -> bool:
            return await self.names(made) == expected

        await until(shown, f"just these are there: {expected}", timeout=10)


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer(users=[f"{USER} on >pw ~* &* +@all"]))
        link = await stack.enter_async_context(FaultProxy(redis.port))
        near_url = redis.url("harness:harness")
        far_url = f"redis://{USER}:pw@127.0.0.1:{link.port}"
        options = {"lease": LEASE, "leaver_ratings": "keep", **settings}
        (near,) = await stack.enter_async_context(served_here(near_url, **options))
        (far,) = await stack.enter_async_context(served_here(far_url, **options))
        api = Api([near])
        stack.push_async_callback(api.close)
        yield Scene(redis, link, near, far, api)


async def join_all(sockets: Sequence[Socket], made: Made) -> list[dict[str, Any]]:
    joins = (socket.emit("join-session", made.code, {"name": f"P{n}"}) for n, socket in enumerate(sockets))
    acks = await asyncio.gather(*joins)
    assert all(ack["ok"] for ack in acks)
    return list(acks)


async def remove(scene: Scene, made: Made, participant: str, token: str, *, ban: bool = False) -> None:
    path = f"{made.path}/participants/{participant}" + ("?ban=true" if ban else "")
    answer = await scene.api.call("DELETE", path, token=token)
    assert answer.status_code == 200, answer.text


async def test_who_left_or_was_kicked_stays_out_when_a_replica_that_was_cut_off_attaches_its_members_again() -> None:
    async with scene(grace=2) as there, open_sockets([there.near.url], 1) as (host,):
        made = await there.api.create()
        await host.emit("join-session", made.code, {"name": "Host", "token": made.host_token})
        async with open_sockets([there.far.url], KICKED + LEFT + AWAY) as crowd:
            acks = await join_all(crowd, made)
            async with there.cut_off():
                await asyncio.gather(
                    *(
                        remove(there, made, ack["participantID"], made.host_token, ban=number % 3 == 0)
                        for number, ack in enumerate(acks[:KICKED])
                    ),
                    *(remove(there, made, ack["participantID"], ack["token"]) for ack in acks[KICKED:][:LEFT]),
                )
                # Their grace time is over.
                await there.shows(made, {"Host": True})
            back = {"Host": True} | {f"P{n}": True for n in range(KICKED + LEFT, len(crowd))}
            await there.shows(made, back)
            await there.look()
            for socket in crowd[: KICKED + LEFT]:
                assert (await socket.next("session-ended"))["reason"] == "kicked"
            assert await there.names(made) == back
            done = await host.emit("add-movie", {"id": "m1", "title": "M"})
            for socket in crowd[KICKED + LEFT :]:
                await socket.at_version(done["version"])
                assert socket.counts["session-ended"] == 0


async def test_without_a_record_of_a_removal_by_grace_time_nobody_is_let_back() -> None:
    async with scene(grace=0.4) as there, open_sockets([there.near.url], 1) as (host,):
        made = await there.api.create()
        await host.emit("join-session", made.code, {"name": "Host", "token": made.host_token})
        async with open_sockets([there.far.url], 3) as crowd:
            acks = await join_all(crowd, made)
            async with there.cut_off():
                await there.shows(made, {"Host": True})
                evicted = acks[1]["participantID"]
                await there.redis.call("HDEL", f"{KEYS.session(made.code)}:connections", f"f:{evicted}")
            await there.shows(made, {"Host": True, "P0": True, "P2": True})
            await there.look()
            assert (await crowd[1].next("session-ended"))["sessionID"] == made.code
            assert await there.names(made) == {"Host": True, "P0": True, "P2": True}


async def test_a_session_that_was_locked_lets_its_people_back_and_keeps_their_names() -> None:
    async with scene(grace=0.4) as there, open_sockets([there.near.url], 1) as (host,):
        made = await there.api.create()
        await host.emit("join-session", made.code, {"name": "Host", "token": made.host_token})
        async with open_sockets([there.far.url], 2) as crowd:
            await join_all(crowd, made)
            async with there.cut_off():
                await host.emit("update-session", {"locked": True})
                await there.shows(made, {"Host": True})
            await there.look()
            await there.shows(made, {"Host": True, "P0": True, "P1": True})
            assert [socket.counts["session-ended"] for socket in crowd] == [0, 0]


async def test_of_sessions_that_ended_or_expired_while_its_replica_was_cut_off_a_member_hears_the_reason() -> None:
    async with scene(grace=30) as there:
        ended, expired = await there.api.create(), await there.api.create()
        async with open_sockets([there.far.url], 2) as (one, other):
            await one.emit("join-session", ended.code)
            await other.emit("join-session", expired.code)
            async with there.cut_off():
                await there.api.call("DELETE", ended.path, token=ended.host_token)
                await there.redis.call("PEXPIRE", KEYS.session(expired.code), 1)
            await there.look()
            assert (await one.next("session-ended"))["reason"] == "ended"
            assert (await other.next("session-ended"))["reason"] == "expired"
