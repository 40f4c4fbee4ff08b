"""Who is there, when connections and whole replicas go away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import pytest

from tests.harness.people import Api, Made, movie
from tests.harness.service import Replica, replicas
from tests.harness.sockets import Socket, open_sockets
from tests.harness.topologies import Topology
from tests.harness.waiting import until
from tests.harness.world import GRACE, RACES, World, hosts

PEOPLE: Final = 100
BACK_AT_ONCE: Final = 20
BACK_IN_TIME: Final = 20
LEASE: Final = 3.0
LONG_GRACE: Final = 6.0
# A replica that the machine has kept from its renewals for so long has its people taken away and attached again, each
# by a change of its own.
LEASE_LOST: Final = "the lease had run out"
# For a sweep to come round, and for a machine that has other things to do.
LATE: Final = 4.0

# Leases and grace times have to pass.
pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def service(topology: Topology, **settings: Any) -> AsyncIterator[tuple[list[Replica], Api]]:
    async with replicas(topology.url, 3, lease=LEASE, **settings) as started:
        api = Api(started)
        try:
            yield started, api
        finally:
            await api.close()


async def test_of_a_killed_replicas_people_those_who_do_not_come_back_are_gone_and_no_others(
    fresh_topology: Topology,
) -> None:
    async with service(fresh_topology, grace=LONG_GRACE) as (started, api):
        made = await api.create(capacity=2 * PEOPLE, movies=[movie("m1")])
        async with open_sockets([started[0].url], 1) as (host,), open_sockets([started[2].url], PEOPLE) as crowd:
            observer = Observer(host)
            await host.emit("join-session", made.code)
            acks = await asyncio.gather(*(socket.emit("join-session", made.code) for socket in crowd))
            await asyncio.gather(*(socket.emit("vote", {"movieID": "m1", "rating": 5}) for socket in crowd))
            before = (await api.read(made.code))["meta"]["version"]

            started[2].kill()
            killed = time.monotonic()
            await asyncio.gather(*(socket.closed() for socket in crowd))
            async with open_sockets([started[0].url, started[1].url], BACK_AT_ONCE + BACK_IN_TIME) as back:
                tokens = [ack["token"] for ack in acks]
                at_once = await come_back(made, back[:BACK_AT_ONCE], tokens[:BACK_AT_ONCE])
                await host.at_version(before + 1)
                reaped = time.monotonic()
                in_time = await come_back(made, back[BACK_AT_ONCE:], tokens[BACK_AT_ONCE : len(back)])
                returned = {ack["participantID"] for ack in (*at_once, *in_time)}

                async def others_gone() -> bool:
                    people = (await api.read(made.code))["sessionData"]["participants"]
                    return {person["id"] for person in people if person["role"] == "member"} <= returned

                await until(others_gone, "those who do not come back are gone", poll=0.1)
                gone = time.monotonic()

                assert reaped - killed < LEASE + LATE
                assert gone - killed < LEASE + LONG_GRACE + LATE
                assert returned == {ack["participantID"] for ack in acks[: len(back)]}
                assert all(ack["votes"] == {"m1": 5} for ack in (*at_once, *in_time))
                assert all(returned <= seen for seen in observer.seen_since(before))
                # Whatever else was due has been done by the next sweep.
                await asyncio.sleep(2 * GRACE)
                last = await api.read(made.code)
                left = last["sessionData"]["participants"]
                assert {person["id"] for person in left if person["role"] == "member"} == returned
                if not any(LEASE_LOST in replica.log_text() for replica in started[:2]):
                    # One commit for all who were lost, one for each who came back after that, one for all who did not.
                    late = sum(ack["version"] > before for ack in at_once)
                    assert last["meta"]["version"] == before + 1 + late + BACK_IN_TIME + 1


class Observer:
    """Who was in the session by each update that a socket got."""

    def __init__(self, socket: Socket) -> None:
        self._seen: list[tuple[int, set[str]]] = []
        socket.on_update = self._see

    def seen_since(self, version: int) -> list[set[str]]:
        return [people for at, people in self._seen if at >= version]

    def _see(self, data: dict[str, Any], meta: dict[str, Any]) -> None:
        assert len(hosts(data)) == bool(data["participants"])
        self._seen.append((meta["version"], {person["id"] for person in data["participants"]}))


async def come_back(made: Made, sockets: list[Socket], tokens: list[str]) -> list[dict[str, Any]]:
    acks = await asyncio.gather(
        *(
            socket.emit("join-session", made.code, {"token": token})
            for socket, token in zip(sockets, tokens, strict=True)
        )
    )
    assert all(ack["ok"] for ack in acks)
    return acks


@pytest.mark.slow
async def test_a_session_whose_creator_was_killed_expires_on_time_and_each_client_hears_it_once(
    fresh_topology: Topology,
) -> None:
    async with service(fresh_topology, lifetime=9, max_lifetime=9, expiry_warning=4, code_rest=10) as (started, api):
        made = await api.create()
        expires = datetime.fromisoformat(made.meta["expiresAt"]).timestamp()
        urls = [replica.url for replica in started]
        async with open_sockets([urls[0]], 2) as first, open_sockets(urls[1:], 4) as others:
            acks = [await socket.emit("join-session", made.code) for socket in (*first, *others)]
            started[0].kill()
            async with open_sockets(urls[1:], 2) as back:
                await come_back(made, back, [ack["token"] for ack in acks[:2]])
                sockets = [*back, *others]
                for warning in await asyncio.gather(*(socket.next("session-expiring") for socket in sockets)):
                    assert warning == {"sessionID": made.code, "expiresAt": made.meta["expiresAt"]}
                late = await Socket.open(urls[1])
                await late.emit("join-session", made.code)
                assert (await late.next("session-expiring"))["expiresAt"] == made.meta["expiresAt"]
                sockets.append(late)
                assert time.time() < expires
                for ended in await asyncio.gather(*(socket.next("session-ended") for socket in sockets)):
                    assert ended == {"sessionID": made.code, "reason": "expired"}
                assert expires <= time.time() < expires + 1.5
                for error in await asyncio.gather(*(socket.next("error") for socket in sockets)):
                    assert error["message"] == "Session not found or has expired"
                for socket in (*sockets, *first):
                    assert socket.counts["session-expiring"] == socket.counts["session-ended"] == (socket in sockets)
                assert (await api.call("GET", made.path, replica=1)).status_code == 404
                await late.close()


@pytest.mark.slow
async def test_a_replica_that_was_stopped_longer_than_its_lease_brings_its_people_back(
    fresh_topology: Topology,
) -> None:
    async with service(fresh_topology, grace=GRACE) as (started, api):
        made = await api.create(movies=[movie("m1")])
        urls = [replica.url for replica in started]
        async with open_sockets(urls[:1], 1) as (host,), open_sockets(urls[2:], 10) as crowd:
            await host.emit("join-session", made.code)
            acks = await asyncio.gather(
                *(socket.emit("join-session", made.code, {"name": f"P{n}"}) for n, socket in enumerate(crowd))
            )
            await asyncio.gather(*(socket.emit("vote", {"movieID": "m1", "rating": 4}) for socket in crowd))
            before = people(await api.read(made.code))

            started[2].pause()
            try:
                await until(lambda: alone(api, made), "the others have removed the people of the stopped replica")
            finally:
                started[2].resume()

            async def all_back() -> bool:
                return people(await api.read(made.code)) == before

            await until(all_back, "all are back, as who they were")
            read = await api.read(made.code)
            assert read["sessionData"]["movies"][0]["count"] == len(crowd)
            for socket in crowd:
                await socket.at_version(read["meta"]["version"])
                assert socket.counts["session-ended"] == 0
            again = await asyncio.gather(
                *(socket.emit("vote", {"movieID": "m1", "rating": 5}) for socket in crowd),
            )
            assert all(ack["ok"] for ack in again)
            assert {ack["participantID"] for ack in acks} <= set(before)


def people(read: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {person["id"]: (person["name"], person["connected"]) for person in read["sessionData"]["participants"]}


async def alone(api: Api, made: Made) -> bool:
    return len((await api.read(made.code))["sessionData"]["participants"]) == 1


@RACES
async def test_nobody_is_left_when_all_lose_their_connections(world: World, api: Api) -> None:
    """While some come, others go, and the session is swept all the time."""
    sessions = []
    for _ in range(min(world.repeats, 10)):
        made = await api.create()
        sessions.append(made)
        async with open_sockets(world.urls, 20) as sockets:

            async def come_and_go(socket: Socket, number: int, code: str = made.code) -> None:
                await socket.emit("join-session", code)
                await asyncio.sleep(number * GRACE / 20)
                await socket.drop()

            await asyncio.gather(*(come_and_go(socket, number) for number, socket in enumerate(sockets)))

    async def empty() -> bool:
        reads = [await api.read(made.code) for made in sessions]
        return not any(read["sessionData"]["participants"] for read in reads)

    await until(empty, "nobody is left")


@RACES
async def test_when_the_host_is_gone_the_longest_present_is_host_after_the_grace_time(world: World, api: Api) -> None:
    for turn in range(min(world.repeats, 5)):
        made = await api.create()
        async with open_sockets(world.urls, 4) as (host, away, second, third):
            observer = Observer(third)
            ids = [
                (await socket.emit("join-session", made.code))["participantID"]
                for socket in (host, away, second, third)
            ]
            await away.drop()
            await host.drop()

            async def promoted(code: str = made.code, replica: int = turn % 3, heir: str = ids[2]) -> bool:
                return hosts((await api.read(code, replica=replica))["sessionData"]) == [heir]

            await until(promoted, "the longest present of those who are connected is host")
            assert ids[2] in observer.seen_since(0)[-1]


@RACES
async def test_who_comes_back_by_token_at_another_replica_is_the_same_with_votes_and_role(
    world: World, api: Api
) -> None:
    for turn in range(world.repeats):
        made = await api.create(movies=[movie("m1")])
        one, another = world.urls[turn % 3], world.urls[(turn + 1) % 3]
        async with open_sockets([one], 1) as (lost,), open_sockets([another], 2) as (guest, back):
            before = await lost.emit("join-session", made.code, {"name": "Host"})
            await guest.emit("join-session", made.code)
            await lost.emit("vote", {"movieID": "m1", "rating": 3})
            await lost.drop()
            after = await back.emit("join-session", made.code, {"token": before["token"]})
            assert after["participantID"] == before["participantID"]
            assert after["votes"] == {"m1": 3}
            data = (await api.read(made.code))["sessionData"]
            assert hosts(data) == [before["participantID"]]
            assert data["movies"][0]["count"] == 1
