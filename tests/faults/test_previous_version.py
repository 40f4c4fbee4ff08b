"""A rolling upgrade and the way back: both versions serve one session side by side, under a load that is checked."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.balancer import Balancer, balancer
from tests.harness.checked_load import checked_load
from tests.harness.conformance import forgive_previous_versions
from tests.harness.people import Api, Made, movie
from tests.harness.previous import PREVIOUS, version_of
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.harness.sockets import Socket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]

_SETTINGS: Final[dict[str, Any]] = {"lease": 3, "grace": 100, "drain_timeout": 1}
# How long each stage of a roll lasts under the load, beyond what the test itself does in it.
_STAGE: Final = 1.0
_numbers: Final = itertools.count(1)


class Deployment:
    """Two replicas at a time behind a balancer, each of which can be replaced by one of either version."""

    def __init__(self, redis: RedisServer, entrance: Balancer) -> None:
        self._redis = redis
        self._entrance = entrance
        self.running: list[Replica] = []
        self.all: list[Replica] = []

    async def start(self, folder: Path | None) -> Replica:
        replica = Replica(self._redis.url(), folder=folder, **_SETTINGS)
        self.all.append(replica)
        replica.launch()
        await asyncio.to_thread(replica.wait_until_serving)
        self.running.append(replica)
        self._entrance.ports = [other.port for other in self.running]
        return replica

    async def replace(self, replica: Replica, folder: Path | None) -> Replica:
        """Starts another one first, as a rolling update does."""
        successor = await self.start(folder)
        self.running.remove(replica)
        self._entrance.ports = [other.port for other in self.running]
        assert await asyncio.to_thread(replica.stop) == 0
        await asyncio.sleep(_STAGE)
        return successor


@asynccontextmanager
async def deployment() -> AsyncIterator[tuple[Deployment, str]]:
    async with RedisServer(aof=True) as redis, balancer([]) as entrance:
        started = Deployment(redis, entrance)
        try:
            yield started, entrance.url
        finally:
            for replica in started.all:
                replica.close()


@asynccontextmanager
async def api_of(replica: Replica) -> AsyncIterator[Api]:
    api = Api([replica])
    try:
        yield api
    finally:
        await api.close()


class Story:
    """A session with a host and a guest, who go on with what they have at whichever replica."""

    def __init__(self, made: Made, guest: dict[str, Any], socket: Socket, patched: dict[str, Any]) -> None:
        self._made = made
        self._created_with = f"a-key-for-{made.code}"
        self._guest = guest
        self._pid, self._offset = socket.pid, socket.offset
        self._patched = patched
        self._voted: dict[str, Any] = {}

    @classmethod
    async def begun(cls, replica: Replica) -> Story:
        key = f"a-key-to-create-once-{next(_numbers)}"
        async with api_of(replica) as api:
            answer = await api.call("POST", "/api/session/create", key=key, json={"movies": [movie("m1")]})
            assert answer.status_code == 201, answer.text
            told = answer.json()
            made = Made(told["sessionID"], told["hostToken"], told["sessionData"], told["meta"])
            patched = await api.call("PATCH", made.path, token=made.host_token, key=_PATCH, json={"title": "Friday"})
        socket = await Socket.open(replica.url)
        guest = await socket.emit("join-session", made.code, {"name": "Guest"})
        await socket.at_version(guest["version"])
        story = cls(made, guest, socket, patched.json())
        story._created_with = key
        story._voted = await socket.emit("vote", _VOTE)
        assert story._voted["ok"], story._voted
        await socket.at_version(story._voted["version"])
        story._offset = socket.offset
        await socket.drop()
        return story

    async def goes_on(self, replica: Replica) -> None:
        """Everything that was given out before is good here, and what is done here is good elsewhere."""
        await self._repeats_requests(replica)
        await self._recovers(replica)
        await self._comes_back_by_token(replica)

    async def is_shared(self, one: Replica, other: Replica) -> None:
        """What is done at a replica is seen at the other one, kicks included."""
        host, stranger, kicked = await Socket.open(one.url), await Socket.open(other.url), await Socket.open(other.url)
        assert (await self._join(host, self._made.host_token))["ok"]
        acks = [await socket.emit("join-session", self._made.code) for socket in (stranger, kicked)]
        assert all(ack["ok"] for ack in acks), acks
        title = {"title": f"Title {next(_numbers)}"}
        changed = await host.emit("update-session", title)
        await stranger.at_version(changed["version"])
        assert stranger.meta["title"] == title["title"]
        added = await stranger.emit("add-movie", movie())
        await host.at_version(added["version"])
        assert (await host.emit("kick-participant", {"participantID": acks[1]["participantID"]}))["ok"]
        assert (await kicked.next("session-ended"))["reason"] == "kicked"
        for socket, name in ((host, "Ann"), (stranger, "Bob")):
            await self._takes_another_name(socket, name, seen_by=(host, stranger))
        left = await stranger.emit("leave-session")
        assert left["ok"], left
        seen = await host.at_version(left["version"])
        assert not {ack["participantID"] for ack in acks} & {person["id"] for person in seen["participants"]}
        for socket in (host, stranger, kicked):
            await socket.drop()

    async def _takes_another_name(self, socket: Socket, name: str, *, seen_by: Sequence[Socket]) -> None:
        """By the event of this version, which the previous one does not know yet; it shows the name all the same."""
        renamed = await socket.emit("rename-participant", {"name": name})
        if not renamed["ok"]:
            assert renamed["code"] == "unknown-event", renamed
            return
        for other in seen_by:
            data = await other.at_version(renamed["version"])
            assert name in {person["name"] for person in data["participants"]}

    async def _repeats_requests(self, replica: Replica) -> None:
        made = self._made
        async with api_of(replica) as api:
            body = {"movies": [{**movie("m1"), "title": made.data["movies"][0]["title"]}]}
            again = await api.call("POST", "/api/session/create", key=self._created_with, json=body)
            assert (again.json()["sessionID"], again.json()["hostToken"]) == (made.code, made.host_token)
            patched = await api.call("PATCH", made.path, token=made.host_token, key=_PATCH, json={"title": "Friday"})
            assert without_time(patched.json()) == without_time(self._patched)

    async def _recovers(self, replica: Replica) -> None:
        """By the recovery id, as the seed's clients do; then the vote of before is a repeat, and another one counts."""
        socket = await Socket.open(replica.url, {"pid": self._pid, "offset": self._offset})
        assert socket.pid == self._pid
        assert without_time(await socket.emit("vote", _VOTE)) == without_time(self._voted)
        rated = await socket.emit("vote", {"movieID": "m1", "rating": 4})
        assert rated["ok"], rated
        assert (await socket.at_version(rated["version"]))["movies"][0]["score"] == 75
        await socket.emit("vote", {"movieID": "m1", "rating": 5})
        await socket.drop()

    async def _comes_back_by_token(self, replica: Replica) -> None:
        socket = await Socket.open(replica.url)
        ack = await self._join(socket, self._guest["token"])
        assert (ack["participantID"], ack["token"]) == (self._guest["participantID"], self._guest["token"])
        assert ack["votes"] == {"m1": 5}
        await socket.at_version(ack["version"])
        self._pid, self._offset = socket.pid, socket.offset
        await socket.drop()

    async def _join(self, socket: Socket, token: str) -> dict[str, Any]:
        ack = await socket.emit("join-session", self._made.code, {"token": token})
        assert ack["ok"], ack
        return ack


_PATCH: Final = "a-key-to-patch-once"
_VOTE: Final = {"movieID": "m1", "rating": 5, "mid": "the-first-vote"}


@pytest.mark.parametrize("commit", PREVIOUS)
async def test_both_versions_serve_one_session_for_the_length_of_a_roll_and_back(commit: str) -> None:
    before = version_of(commit)
    async with deployment() as (deployed, url):
        old = [await deployed.start(before) for _ in range(2)]
        async with checked_load(url) as load:
            first = await Story.begun(old[0])

            new = [await deployed.replace(old[0], None)]
            second = await Story.begun(new[0])
            await both(first, second, old[1], new[0])

            new.append(await deployed.replace(old[1], None))
            await both(first, second, *new)

            back = [await deployed.replace(new[0], before)]
            third = await Story.begun(new[1])
            await both(first, third, new[1], back[0])

            back.append(await deployed.replace(new[1], before))
            await both(second, third, *back)

        assert len(load.measured.ack) > 100
        assert loud(deployed.all) == []
    forgive_previous_versions()


def without_time(ack: dict[str, Any]) -> dict[str, Any]:
    """What the previous versions say, too."""
    return {name: value for name, value in ack.items() if name != "now"}


async def both(one: Story, other: Story, *replicas: Replica) -> None:
    for story in (one, other):
        for replica in replicas:
            await story.goes_on(replica)
        await story.is_shared(*replicas)
        await story.is_shared(*reversed(replicas))


def loud(replicas: Sequence[Replica]) -> list[dict[str, Any]]:
    """What was logged as an error."""
    lines = [line for replica in replicas for line in replica.logs()]
    return [line for line in lines if line.get("level", "text") in ("error", "critical", "text")]
