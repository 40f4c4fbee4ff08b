"""A room that fills up within seconds: what each member is sent is bounded by time, not by how many join."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.harness.people import Api
from tests.harness.service import Replica
from tests.harness.sockets import Socket, open_sockets

pytestmark = pytest.mark.asyncio(loop_scope="session")

# One update at once, and then one in 50 ms at the most.
_UPDATES_PER_SECOND = 20


async def fill_up(service: list[Replica], api: Api, people: int, seconds: float) -> None:
    made = await api.create(capacity=people)

    async def come(number: int, socket: Socket) -> int:
        await asyncio.sleep(seconds * number / people)
        ack = await socket.emit("join-session", made.code)
        assert ack["ok"], ack
        version: int = ack["version"]
        return version

    async with open_sockets([replica.url for replica in service], people) as sockets:
        started = time.monotonic()
        versions = await asyncio.gather(*(come(number, socket) for number, socket in enumerate(sockets)))
        assert sorted(versions) == list(range(2, people + 2))
        for socket in sockets:
            await socket.at_version(max(versions), timeout=30)
        most = _UPDATES_PER_SECOND * (time.monotonic() - started) + 2
        assert most < people
        for socket in sockets:
            assert updates_of(socket) <= most
            assert socket.meta["people"] == people
        first, *others = sockets
        before, started = updates_of(first), time.monotonic()
        acks = await asyncio.gather(*(socket.emit("leave-session", timeout=30) for socket in others))
        await first.at_version(max(ack["version"] for ack in acks), timeout=30)
        most = _UPDATES_PER_SECOND * (time.monotonic() - started) + 2
        assert updates_of(first) - before <= most
        assert first.meta["people"] == 1


def updates_of(socket: Socket) -> int:
    """How many updates a member was sent, whole or as patches."""
    return socket.counts["session-update"] + socket.counts["session-patch"]


async def test_two_hundred_join_within_two_seconds(service: list[Replica], api: Api) -> None:
    await fill_up(service, api, people=200, seconds=2)


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(120)
async def test_a_thousand_join_within_five_seconds(service: list[Replica], api: Api) -> None:
    await fill_up(service, api, people=1000, seconds=5)
