"""Who is gone, as far as Redis is concerned: whatever is away, broken or late."""

from __future__ import annotations

import asyncio

from app.redis_client.client import RedisClient
from app.sessions.errors import SessionError
from app.sessions.steps import Attachment
from app.store.sessions import RedisSessions
from tests.harness.here import served_here
from tests.harness.keys import KEYS
from tests.harness.people import Api, Made
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.sockets import open_sockets
from tests.harness.waiting import until

SESSIONS = 25
EACH = 4


async def connected(api: Api, made: Made) -> list[bool]:
    return [person["connected"] for person in (await api.read(made.code))["sessionData"]["participants"]]


async def test_while_redis_is_away_few_tasks_tell_it_of_many_who_are_gone(redis_server: RedisServer) -> None:
    async with (
        FaultProxy(redis_server.port) as link,
        served_here(f"redis://127.0.0.1:{link.port}", grace=60) as (here,),
        served_here(redis_server.url(), grace=60) as (other,),
    ):
        api = Api([other])
        sessions = [await api.create() for _ in range(SESSIONS)]
        idle = len(asyncio.all_tasks())
        async with open_sockets([here.url], SESSIONS * EACH) as sockets:
            joins = (
                socket.emit("join-session", sessions[number % SESSIONS].code) for number, socket in enumerate(sockets)
            )
            assert all(ack["ok"] for ack in await asyncio.gather(*joins))
            await link.refuse()
            link.cut()
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) < idle + 60
        await link.accept()
        for made in sessions:

            async def all_gone(made: Made = made) -> bool:
                return await connected(api, made) == [False] * EACH

            await until(all_gone, "Redis knows that all are gone", timeout=10)
        await api.close()


async def test_a_session_that_cannot_be_swept_does_not_hold_up_the_others(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), grace=0.2) as (here,):
        api = Api([here])
        broken, sound = await api.create(), await api.create()
        async with open_sockets([here.url], 2) as (one, other):
            await one.emit("join-session", broken.code)
            await other.emit("join-session", sound.code)
            await one.drop()
            await redis_server.call("DEL", KEYS.connections(broken.code))
            await redis_server.call("SET", KEYS.connections(broken.code), "nonsense", "PX", 60_000)
            await other.drop()

            async def removed() -> bool:
                return await connected(api, sound) == []

            await until(removed, "the grace time of the other session is over", timeout=5)
        await api.close()


async def test_a_session_that_cannot_be_reaped_does_not_hold_up_the_others(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), grace=60, lease=0.5) as (here,):
        api = Api([here])
        broken, *sound = [await api.create() for _ in range(6)]
        for made in sound:
            await join(redis_server, made, connection="dead.x")
        await redis_server.call("SET", KEYS.connections(broken.code), "nonsense", "PX", 60_000)
        await redis_server.call("SADD", KEYS.replica_codes("dead"), *(made.code for made in (broken, *sound)))
        await redis_server.call("ZADD", KEYS.replicas, 1, "dead")

        async def reaped() -> bool:
            return not any([any(await connected(api, made)) for made in sound])

        await until(reaped, "those at the dead replica are away", timeout=5)
        await api.close()


async def test_joining_that_was_under_way_while_its_replica_was_reaped_leaves_no_ghost(
    redis_server: RedisServer,
) -> None:
    async with served_here(redis_server.url(), grace=60, lease=0.5) as (here,):
        api = Api([here])
        made = await api.create()
        seconds, _ = await redis_server.call("TIME")
        before = int(seconds) * 1000
        await redis_server.call("SADD", KEYS.replica_codes("dead"), made.code)
        await redis_server.call("ZADD", KEYS.replicas, 1, "dead")

        async def reaped() -> bool:
            return not await redis_server.call("EXISTS", KEYS.replica_codes("dead"))

        await until(reaped, "the replica is reaped", timeout=5)
        # It had sent this before; a replica that lives after all renews its lease and tries again.
        assert await join(redis_server, made, connection="dead.x", leased=before) == "unavailable"
        assert await connected(api, made) == []
        assert await join(redis_server, made, connection="dead.x", leased=before + 60_000) == "ok"
        assert await connected(api, made) == [True]
        await api.close()


async def test_reaping_a_session_that_nobody_has_joined_leaves_no_key_without_a_lifetime(
    redis_server: RedisServer,
) -> None:
    async with served_here(redis_server.url(), grace=60, lease=0.5) as (here,):
        api = Api([here])
        made = await api.create()
        await redis_server.call("SADD", KEYS.replica_codes("dead"), made.code)
        await redis_server.call("ZADD", KEYS.replicas, 1, "dead")

        async def reaped() -> bool:
            return not await redis_server.call("EXISTS", KEYS.replica_codes("dead"))

        await until(reaped, "the replica is reaped", timeout=5)
        found = [name.decode() for name in await redis_server.call("KEYS", f"{KEYS.session(made.code)}*")]
        assert {name: await redis_server.call("PTTL", name) > 0 for name in found} == dict.fromkeys(found, True)
        await api.close()


async def join(redis: RedisServer, made: Made, *, connection: str, leased: int | None = None) -> str:
    """As another replica does it; the outcome."""
    client = RedisClient.connect(redis.url())
    sessions = RedisSessions(client, KEYS, quarantine=60, max_listed=200)
    attachment = Attachment(
        connection=connection, recovery="x", newcomer="somebody", second_connection="allow", lease_renewed_at=leased
    )
    try:
        await sessions.attach(made.code, attachment)
    except SessionError as error:
        return error.code
    finally:
        await sessions.close()
        await client.close()
    return "ok"
