"""The list of secrets changes by a rolling upgrade: nobody's token is refused, and no request between replicas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.conformance import forgive_previous_versions
from tests.harness.people import Api, Made
from tests.harness.previous import version_of
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.harness.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]

OLD, NEW = "old" * 12, "new" * 12
LEASE: Final = 1.2
# The last commit whose replicas know one secret only.
WITHOUT_LISTS: Final = "d272c97"
POLL: Final = "/socket.io/?EIO=4&transport=polling"
# What a replica may answer that has just started or is about to stop; clients try again.
AGAIN: Final = {502, 503, 504}


class Fleet:
    """The running replicas, and a load: sessions are made at each, and changed and polled at all others."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self.running: list[Replica] = []
        self.all: list[Replica] = []
        self.made: list[Made] = []
        self.answers: dict[int, int] = {}

    async def start(self, secret: str, folder: Path | None = None) -> Replica:
        replica = Replica(self._redis.url(), folder=folder, secret=secret, lease=LEASE, drain_timeout=0.5)
        self.all.append(replica)
        replica.launch()
        await asyncio.to_thread(replica.wait_until_serving)
        self.running.append(replica)
        return replica

    async def replace(self, secret: str, folder: Path | None = None) -> None:
        """A rolling upgrade to that list."""
        for replica in list(self.running):
            await self.start(secret, folder)
            await asyncio.sleep(LEASE / 2)
            self.running.remove(replica)
            assert await asyncio.to_thread(replica.stop) == 0

    async def rounds(self, number: int) -> None:
        """Wait until the load has gone around so many times."""
        done = len(self.made) + number

        async def gone_around() -> bool:
            return len(self.made) >= done

        await until(gone_around, "the load has gone around", timeout=20)

    async def load(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while True:
                for replica in list(self.running):
                    await self._round(client, replica)

    async def _round(self, client: httpx.AsyncClient, replica: Replica) -> None:
        api = Api([replica])
        try:
            made = await api.create()
            sid = json.loads((await client.get(replica.url + POLL)).text[1:])["sid"]
        except (AssertionError, httpx.TransportError, ValueError):
            # It has just stopped.
            return
        finally:
            await api.close()
        self.made.append(made)
        for other in list(self.running):
            for each in self.made[-5:] + self.made[:5]:
                headers = {"Authorization": f"Bearer {each.host_token}"}
                patch: dict[str, Any] = {"headers": headers, "json": {"title": "T"}}
                await self._count(client, "PATCH", other.url + each.path, **patch)
            await self._count(client, "POST", f"{other.url}{POLL}&sid={sid}", content="2")

    async def _count(self, client: httpx.AsyncClient, method: str, url: str, **what: Any) -> None:
        try:
            status = (await client.request(method, url, **what)).status_code
        except httpx.TransportError:
            return
        self.answers[status] = self.answers.get(status, 0) + 1


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    async with RedisServer() as redis:
        started = Fleet(redis)
        try:
            yield started
        finally:
            for replica in started.all:
                replica.close()


@asynccontextmanager
async def under_load(started: Fleet) -> AsyncIterator[None]:
    load = asyncio.create_task(started.load())
    try:
        await started.rounds(4)
        yield
        await started.rounds(4)
        assert not load.done(), load.exception()
    finally:
        load.cancel()
        await asyncio.wait((load,))
    assert not {401, 403} & started.answers.keys(), started.answers
    assert started.answers[200] > 100, started.answers


async def is_valid(replica: Replica, made: Made) -> bool:
    api = Api([replica])
    try:
        return (await api.call("PATCH", made.path, token=made.host_token, json={"title": "T"})).status_code == 200
    finally:
        await api.close()


async def test_a_list_is_changed_twice_under_load() -> None:
    """A secret is added and, once nothing is signed with the old one, that is removed."""
    async with fleet() as started:
        for _ in range(2):
            await started.start(OLD)
        async with under_load(started):
            await started.replace(f"{NEW},{OLD}")
            await asyncio.sleep(3 * LEASE)
            # From here on the new one has signed; what the old one signed is not asked for any more.
            started.made.clear()
            await started.rounds(6)
            await started.replace(NEW)


async def test_a_list_that_names_both_can_be_put_in_the_other_order_and_back_under_load() -> None:
    async with fleet() as started:
        for _ in range(2):
            await started.start(OLD)
        async with under_load(started):
            for secrets in (f"{OLD}\n{NEW}", f"{NEW}\n{OLD}", f"{OLD}\n{NEW}"):
                await started.replace(secrets)
                await started.rounds(6)


async def test_beside_the_previous_version_the_secret_that_it_knows_signs() -> None:
    previous = version_of(WITHOUT_LISTS)
    async with fleet() as started:
        former = await started.start(OLD, previous)
        current = await started.start(f"{NEW},{OLD}")
        async with under_load(started):
            await started.rounds(6)
        made = started.made[-1]
        assert await is_valid(former, made)
        assert await asyncio.to_thread(former.stop) == 0
        await asyncio.sleep(3 * LEASE)
        api = Api([current])
        signed_by_new = await api.create()
        await api.close()
        again = await started.start(OLD, previous)
        assert [await is_valid(again, each) for each in (made, signed_by_new)] == [True, False]
        forgive_previous_versions()


async def test_the_previous_version_and_this_one_take_turns_with_one_secret() -> None:
    previous = version_of(WITHOUT_LISTS)
    async with fleet() as started:
        for _ in range(2):
            await started.start(OLD, previous)
        async with under_load(started):
            await started.replace(OLD)
            await started.replace(OLD, previous)
        forgive_previous_versions()


async def test_replicas_read_the_list_again_before_they_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(OLD)
    async with RedisServer() as redis:
        before = Replica(redis.url(), secret_file=file, lease=LEASE)
        try:
            before.launch()
            await asyncio.to_thread(before.wait_until_serving)
            file.write_text(f"{NEW}\n{OLD}\n")
            await asyncio.sleep(3 * LEASE)
            after = Replica(redis.url(), secret=NEW, lease=LEASE)
            try:
                after.launch()
                await asyncio.to_thread(after.wait_until_serving)
                api = Api([after, before])
                for replica in range(2):
                    made = await api.create(replica=replica)
                    for other in (after, before):
                        assert await is_valid(other, made)
                await api.close()
            finally:
                after.close()
        finally:
            before.close()
