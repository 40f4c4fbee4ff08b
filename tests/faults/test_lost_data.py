"""Redis comes back without its data, or with older data: everybody is told, and nobody is left in the past."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.redis_client.client import RedisClient
from app.sessions.errors import SessionError
from app.sessions.steps import Attachment, ContinuedMembership
from app.sessions.tokens import Credential
from app.store.sessions import RedisSessions
from tests.faults.checker import lies
from tests.faults.load import Load
from tests.faults.world import World
from tests.harness.keys import KEYS
from tests.harness.node import NodeClients
from tests.harness.people import TRANSPORTS
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_FOUND = {"message": "Session not found or has expired", "code": "session-not-found"}


async def flushed(world: World) -> None:
    await world.redis.call("FLUSHALL")


async def restarted_empty(world: World) -> None:
    await world.redis.restart(with_data=False)


@pytest.mark.parametrize("lose", [flushed, pytest.param(restarted_empty, marks=pytest.mark.slow)])
async def test_of_a_session_that_redis_lost_each_member_is_told_once(
    broken: World, node: NodeClients, lose: Callable[[World], Awaitable[None]]
) -> None:
    made = await broken.api.create()
    clients = [await node.connect(url, **options) for url in broken.urls for options in TRANSPORTS.values()]
    for client in clients:
        assert (await client.emit("join-session", made.code, ack=True))["ok"]
    await lose(broken)
    for client in clients:
        assert (await client.next("session-ended", 10)).data == {"sessionID": made.code, "reason": "lost"}
        assert (await client.next("error")).data == NOT_FOUND
    assert (await broken.api.join(made.code)).status_code == 404
    again = await broken.api.create()
    for client in clients:
        assert (await client.emit("join-session", again.code, ack=True))["ok"]
        assert len(client.named("session-ended")) == len(client.named("error")) == 1
    await asyncio.gather(*(client.close() for client in clients))


async def test_who_left_in_the_time_that_redis_lost_is_no_ghost(broken: World, node: NodeClients) -> None:
    made = await broken.api.create()
    ann, bob = [await node.connect(url, transports=["websocket"]) for url in broken.urls[:2]]
    for client, name in ((ann, "Ann"), (bob, "Bob")):
        await client.emit("join-session", made.code, {"name": name}, ack=True)
    await keep_copy(broken)
    await bob.close()

    async def bob_is(connected: bool) -> bool:
        people = (await broken.api.read(made.code))["sessionData"]["participants"]
        return {"Ann": True, "Bob": connected} == {person["name"]: person["connected"] for person in people}

    await until(lambda: bob_is(connected=False), "Bob is away")
    epoch = (await broken.api.read(made.code))["meta"]["epoch"]
    await go_back(broken)
    await until(lambda: bob_is(connected=False), "Bob is away again")
    assert (await broken.api.read(made.code))["meta"]["epoch"] != epoch
    await ann.close()


async def test_who_joined_in_the_time_that_redis_lost_is_back_and_who_is_told_to_go_after_it_is_not(
    broken: World, node: NodeClients
) -> None:
    made = await broken.api.create()
    ann = await node.connect(broken.urls[0], transports=["websocket"])
    await ann.emit("join-session", made.code, {"name": "Ann", "token": made.host_token}, ack=True)
    await keep_copy(broken)
    crowd = [await node.connect(broken.urls[1 + number % 2], transports=["websocket"]) for number in range(4)]
    acks = [await client.emit("join-session", made.code, {"name": f"P{n}"}, ack=True) for n, client in enumerate(crowd)]
    await go_back(broken)

    async def there() -> dict[str, str]:
        people = (await broken.api.read(made.code))["sessionData"]["participants"]
        return {person["name"]: person["id"] for person in people if person["connected"]}

    async def all_back() -> bool:
        return await there() == {"Ann": made_by} | {f"P{n}": ack["participantID"] for n, ack in enumerate(acks)}

    made_by = (await there())["Ann"]
    await until(all_back, "all are back with their names")
    kicked = await ann.emit("kick-participant", {"participantID": acks[0]["participantID"]}, ack=True)
    left = await crowd[1].emit("leave-session", ack=True)
    assert kicked["ok"]
    assert left["ok"]
    # As replicas say it that were cut off all the time, and attach in the name of the epoch that is over.
    before = made.meta["epoch"]
    for ack, name in zip(acks[:3], ("out", "out", "in"), strict=True):
        status = await attach_again(broken, made.code, ack["participantID"], membership_id=5, joined_in=before)
        assert status == {"out": "not-joined", "in": "ok"}[name]
    await asyncio.gather(ann.close(), *(client.close() for client in crowd))


async def attach_again(world: World, code: str, participant: str, *, membership_id: int, joined_in: str) -> str:
    connection = RedisClient.connect(f"redis://127.0.0.1:{world.redis.port}")
    sessions = RedisSessions(connection, KEYS, quarantine=60, max_listed=200)
    instance = (await world.redis.call("HGET", KEYS.session(code), "instance")).decode()
    attachment = Attachment(
        connection="x.x",
        recovery="x",
        newcomer="x",
        second_connection="allow",
        credential=Credential("participant", instance, participant),
        continued=ContinuedMembership(membership_id, joined_in),
    )
    try:
        await sessions.attach(code, attachment)
    except SessionError as error:
        return error.code
    finally:
        await sessions.close()
        await connection.close()
    return "ok"


def copies(world: World) -> tuple[Path, Path]:
    """Where Redis keeps its data, and where an older copy of it is."""
    disk = world.redis.directory / "appendonlydir"
    return disk, disk.with_suffix(".older")


async def keep_copy(world: World) -> None:
    disk, older = copies(world)
    await asyncio.to_thread(shutil.copytree, disk, older)


async def go_back(world: World) -> None:
    """Restarts Redis with the older copy of its data."""
    disk, older = copies(world)
    world.redis.kill()
    await asyncio.to_thread(shutil.rmtree, disk)
    await asyncio.to_thread(older.rename, disk)
    await world.redis.start()


async def changes_lost(broken: World, node: NodeClients, *, times: int, changes: int) -> None:
    """Under a load Redis comes back, again and again, with what it had on disk some changes before."""
    async with Load.on(node, broken.api, broken.urls, 2) as load:
        for _ in range(times):
            await load.reaches(changes)
            await keep_copy(broken)
            await load.reaches(changes)
            await go_back(broken)
            healed = time.time()
            await load.reaches(changes)
        last_change = await load.stop()
        rooms = await load.settle(max(healed + 10, last_change + 5), may_lose=True)
        assert [lie for room in rooms for lie in lies(room)] == []
        for room in rooms:
            for log in room.logs:
                # As many as there were losses, unless one of them fell between two changes of this session.
                assert 1 < len({state.epoch for _, state in log.updates()}) <= times + 1


async def test_changes_that_redis_lost_are_told_by_a_new_epoch(broken: World, node: NodeClients) -> None:
    await changes_lost(broken, node, times=1, changes=30)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_changes_lost_again_and_again(broken: World, node: NodeClients) -> None:
    for _ in range(3):
        await changes_lost(broken, node, times=3, changes=15)
