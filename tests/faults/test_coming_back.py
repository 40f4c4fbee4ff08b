"""A client that asks to join once and never again, as the seed's script does, comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.world import World
from tests.harness.keys import KEYS
from tests.harness.node import Client, Event, NodeClients
from tests.harness.people import Made
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_FOUND = {"message": "Session not found or has expired", "code": "session-not-found"}


class Scene:
    """A session with its host, who stays, and the client of the seed's flow."""

    def __init__(self, world: World, made: Made, host: Client, seed: Client, seed_id: str) -> None:
        self.world = world
        self.made = made
        self.host = host
        self.seed = seed
        self.seed_id = seed_id

    @classmethod
    async def open(cls, world: World, node: NodeClients, **options: Any) -> Scene:
        made = await world.api.create(**options)
        elsewhere = [replica for replica in world.replicas if replica is not world.behind(0)] or world.replicas
        host = await node.connect(elsewhere[0].url, transports=["websocket"])
        joined = await host.emit("join-session", made.code, {"name": "Host", "token": made.host_token}, ack=True)
        assert joined["ok"], joined
        seed = await node.run_flow(world.urls[0], made.code)
        await seed.next("session-update")
        (seed_id,) = [person["id"] for person in await people(world, made) if person["name"] != "Host"]
        return cls(world, made, host, seed, seed_id)

    async def do(self, event: str, payload: dict[str, Any] | None = None) -> int:
        """A change by the host; the version that it makes."""
        ack = await self.host.emit(event, *([payload] if payload else []), ack=True)
        assert ack["ok"], ack
        version: int = ack["version"]
        return version

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Meanwhile the seed's client has lost its connection; at the end it has come back by itself."""
        connections = len(self.seed.named("connect"))
        await self.world.entrances[0].refuse()
        self.world.entrances[0].cut()
        try:
            await self.seed.until(lambda _: len(self.seed.named("disconnect")) == connections)
            yield
        finally:
            await self.world.entrances[0].accept()
        await self.seed.until(lambda _: len(self.seed.named("connect")) > connections, timeout=15)

    async def removed(self) -> None:
        """Waits until the seed's participant is gone."""

        async def gone() -> bool:
            return self.seed_id not in [person["id"] for person in await people(self.world, self.made)]

        await until(gone, "the participant is removed")

    async def receives(self, what: str) -> None:
        """The newest state, then every change in order, up to one made now."""
        for number in range(5):
            version = await self.do("add-movie", {"id": f"{what}{number}", "title": "T"})
            await self.seed.until(lambda event: version_of(event) == version)  # noqa: B023 - awaited at once
        versions = [version_of(event) for event in self.seed.named("session-update")]
        assert versions == sorted(set(versions))

    async def does_not_receive(self) -> None:
        """Not even what is changed now, although a question asked afterwards is answered."""
        before = len(self.seed.named("session-update"))
        version = await self.do("add-movie", {"id": "unseen", "title": "T"})
        await self.host.until(lambda event: version_of(event) >= version)
        assert (await self.seed.emit("leave-session", ack=True))["code"] == "not-joined"
        assert len(self.seed.named("session-update")) == before


def version_of(event: Event) -> int:
    return int(event.args[1]["version"]) if event.name == "session-update" else 0


async def people(world: World, made: Made) -> list[dict[str, Any]]:
    participants: list[dict[str, Any]] = (await world.api.read(made.code))["sessionData"]["participants"]
    return participants


async def test_after_resets_and_refusals_for_five_seconds(broken: World, node: NodeClients) -> None:
    scene = await Scene.open(broken, node)
    async with scene.away():
        while_away = await scene.do("add-movie", {"id": "m1", "title": "T"})
        await asyncio.sleep(5)
    assert scene.seed.recovered
    await scene.seed.until(lambda event: version_of(event) >= while_away)
    await scene.receives("after")
    assert len(scene.seed.named("joined-session")) == 1


async def test_after_its_replica_was_killed(broken: World, node: NodeClients) -> None:
    scene = await Scene.open(broken, node)
    replica = broken.behind(0)
    replica.kill()
    while_away = await scene.do("add-movie", {"id": "m1", "title": "T"})
    await scene.seed.until(lambda _: len(scene.seed.named("connect")) == 2, timeout=15)
    assert scene.seed.recovered
    await scene.seed.until(lambda event: version_of(event) >= while_away)
    await scene.receives("after")
    await asyncio.to_thread(replica.restart)


async def test_after_a_new_epoch_it_is_not_recovered_and_receives(broken: World, node: NodeClients) -> None:
    scene = await Scene.open(broken, node)
    async with scene.away():
        await broken.redis.call("HSET", f"js:{{{scene.made.code}}}", "epoch", "another")
    assert not scene.seed.recovered
    await scene.receives("after")
    assert scene.seed_id in [person["id"] for person in await people(broken, scene.made)]


async def test_after_the_grace_time_it_is_not_recovered_and_receives(hasty: World, node: NodeClients) -> None:
    scene = await Scene.open(hasty, node)
    async with scene.away():
        await scene.removed()
    assert not scene.seed.recovered
    await scene.receives("after")
    async with scene.away():
        await scene.removed()
    await scene.receives("again")


async def test_after_being_kicked_it_does_not_receive(broken: World, node: NodeClients) -> None:
    scene = await Scene.open(broken, node)
    await scene.do("kick-participant", {"participantID": scene.seed_id})
    await scene.seed.next("session-ended")
    async with scene.away():
        pass
    assert not scene.seed.recovered
    await scene.does_not_receive()
    assert len(scene.seed.named("session-ended")) == len(scene.seed.named("error")) == 1


@pytest.mark.parametrize("ban", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_kicked_while_it_was_away_it_is_told_once(broken: World, node: NodeClients, ban: bool) -> None:
    scene = await Scene.open(broken, node)
    async with scene.away():
        await scene.do("kick-participant", {"participantID": scene.seed_id, "ban": ban})
    assert (await scene.seed.next("session-ended")).data == {"sessionID": scene.made.code, "reason": "kicked"}
    assert (await scene.seed.next("error")).data == NOT_FOUND
    await scene.does_not_receive()
    async with scene.away():
        pass
    await scene.does_not_receive()
    assert len(scene.seed.named("session-ended")) == len(scene.seed.named("error")) == 1


async def test_after_leaving_it_does_not_receive_and_hears_no_complaint(broken: World, node: NodeClients) -> None:
    scene = await Scene.open(broken, node)
    assert (await scene.seed.emit("leave-session", ack=True))["ok"]
    for _ in range(2):
        async with scene.away():
            pass
        assert not scene.seed.recovered
        await scene.does_not_receive()
    assert scene.seed.named("session-ended") == scene.seed.named("error") == []


async def test_after_closing_its_socket_by_itself_it_is_not_let_back_and_hears_no_complaint(
    broken: World, node: NodeClients
) -> None:
    scene = await Scene.open(broken, node)
    await scene.seed.disconnect()

    async def void() -> bool:
        fields = await broken.redis.call("HGETALL", KEYS.connections(scene.made.code))
        good = [value for name, value in fields.items() if name.startswith(b"r:")]
        return not any(value.startswith(scene.seed_id.encode()) for value in good)

    await until(void, "the recovery id is void", timeout=5)
    await scene.seed.open()
    await scene.seed.until(lambda _: len(scene.seed.named("connect")) == 2)
    assert not scene.seed.recovered
    await scene.does_not_receive()
    assert scene.seed.named("session-ended") == scene.seed.named("error") == []


async def test_of_a_session_that_the_host_ended_while_it_was_away_it_is_told(hasty: World, node: NodeClients) -> None:
    scene = await Scene.open(hasty, node)
    async with scene.away():
        await scene.do("end-session")
    assert (await scene.seed.next("session-ended")).data == {"sessionID": scene.made.code, "reason": "ended"}
    assert (await scene.seed.next("error")).data == NOT_FOUND


async def test_of_a_session_that_expired_while_it_was_away_it_is_told(hasty: World, node: NodeClients) -> None:
    scene = await Scene.open(hasty, node, ttlSeconds=1)
    await scene.host.close()
    async with scene.away():
        await expired(scene)
    assert (await scene.seed.next("session-ended")).data == {"sessionID": scene.made.code, "reason": "expired"}
    assert (await scene.seed.next("error")).data == NOT_FOUND


async def test_of_a_session_that_nobody_remembers_it_is_told_once(hasty: World, node: NodeClients) -> None:
    scene = await Scene.open(hasty, node)
    async with scene.away():
        await hasty.redis.call("FLUSHALL")
    assert (await scene.seed.next("error")).data == NOT_FOUND
    async with scene.away():
        pass
    assert (await scene.seed.emit("leave-session", ack=True))["code"] == "not-joined"
    assert len(scene.seed.named("error")) == 1
    assert scene.seed.named("session-ended") == []


async def expired(scene: Scene) -> None:
    async def gone() -> bool:
        return (await scene.world.api.join(scene.made.code)).status_code == 404

    await until(gone, "the session has expired")
