"""Every alert fires under the real fault it is for, and resolves when that is over; panels show what happens."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.faults.world import World, world
from tests.harness.dashboard import panels_without_data
from tests.harness.exporter import exporter
from tests.harness.people import Api, Made
from tests.harness.prometheus import Prometheus, instance, prometheus
from tests.harness.receiver import SECRET, Receiver, receiving
from tests.harness.service import Replica
from tests.harness.sockets import Socket, open_sockets
from tests.observability.documented_metrics import documented
from tests.observability.rules import alerts, measured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="session")]

WINDOW: Final = "10s"
THRESHOLDS: Final[dict[str, dict[str, float]]] = {
    "DataLost": {"threshold": 0},
    "RedisMemory": {"threshold": 0.5},
    "ConnectionsNearLimit": {"threshold": 0.05},
    "SessionsNearLimit": {"threshold": 0.00005},
    "PubSubLost": {"threshold": 0},
    "PubSubFlapping": {"threshold": 0},
    "Resyncs": {"threshold": 0},
    "SlowConnections": {"threshold": 0.01},
    "DrainStuck": {"threshold": 1},
    "ConnectionImbalance": {"threshold": 1.5, "minimum": 5},
    "WrongReplica": {"threshold": 0.1},
    "HttpErrors": {"threshold": 0.05},
    "EventErrors": {"threshold": 0.05},
    "SlowJoins": {"threshold": 0.5},
    "SlowDelivery": {"threshold": 0.5},
    "EventLoopLag": {"threshold": 0.5},
    "WebhooksLate": {"threshold": 1},
    "WebhooksDropped": {"threshold": 0},
}
INSTANT: Final = ("Absent", "ReplicaDown", "RedisUnreachable", "RedisRefused")
AT_ONCE: Final = {"for": "1s", "severity": "critical"}
POLLING: Final = "/socket.io/?EIO=4&transport=polling"


@dataclass
class Watched:
    """Three replicas with a session that has a member at each, and the Prometheus that scrapes them."""

    world: World
    prometheus: Prometheus
    made: Made
    members: list[Socket]
    rules: list[dict[str, Any]]
    receiver: Receiver

    @property
    def api(self) -> Api:
        return self.world.api

    @property
    def replicas(self) -> list[Replica]:
        return self.world.replicas


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Watched]:
    values = {name: AT_ONCE | THRESHOLDS.get(name, {}) for name in INSTANT}
    values |= {name: AT_ONCE | thresholds for name, thresholds in THRESHOLDS.items()}
    rules = alerts(folder, window=WINDOW, alerts=values)
    hook = {"webhook_allow_http": True, "webhook_secret": SECRET, "webhook_max_pause": 0.5, "webhook_retention": 5}
    async with (
        receiving() as receiver,
        world(
            3,
            drain_timeout=30,
            ping_interval=60,
            ping_timeout=60,
            max_connections=1000,
            webhook_url=receiver.url,
            **hook,
        ) as replicated,
    ):
        made = await replicated.api.create(
            movies=[{"id": f"m{number}", "title": "T", "overview": "o" * 500} for number in range(60)], capacity=100
        )
        async with (
            open_sockets([replica.url for replica in replicated.replicas], 3) as members,
            exporter(replicated.redis.url()) as metrics_of_redis,
            prometheus(replicated.replicas, rules, exporters=[metrics_of_redis]) as watcher,
        ):
            for member in members:
                assert (await member.emit("join-session", made.code))["ok"]
            yield Watched(replicated, watcher, made, members, rules, receiver)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    async with watching(tmp_path_factory.mktemp("rules")) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="session")
async def watched_alone(tmp_path: Path) -> AsyncIterator[Watched]:
    """For a test after which a replica or the session is gone. The tests of a module run in any order."""
    async with watching(tmp_path) as own:
        yield own


@asynccontextmanager
async def repeated(action: Callable[[], Awaitable[Any]], pause: float = 0.1) -> AsyncIterator[None]:
    """Does something again and again meanwhile; that it fails is part of the fault."""

    async def work() -> None:
        while True:
            with suppress(OSError, TimeoutError, AssertionError, httpx.HTTPError):
                await action()
            await asyncio.sleep(pause)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def everything(watched: Watched) -> Callable[[], Awaitable[None]]:
    """A round of what users do, some of it on the wrong replica, and of what they do wrong."""
    numbers = itertools.count()

    async def round_of_all() -> None:
        api, number = watched.api, next(numbers)
        await watched.members[0].emit("vote", {"movieID": "m1", "rating": 1 + number % 5})
        await api.read(watched.made.code, replica=number % 3)
        await api.join(watched.made.code, replica=number % 3)
        async with open_sockets([watched.replicas[number % 3].url], 1) as (visitor,):
            await visitor.emit("join-session", watched.made.code)
            await visitor.emit("leave-session")
        await poll_elsewhere(api)

    return round_of_all


async def poll_elsewhere(api: Api) -> None:
    """A handshake at one replica, and the rest of it at another."""
    opened = await api.call("GET", POLLING, replica=0)
    sid = re.search(r'"sid":"([^"]+)"', opened.text)
    assert sid is not None
    for content in ("40", "1"):
        await api.call("POST", f"{POLLING}&sid={sid[1]}", replica=1, content=content)


async def test_every_panel_and_every_alert_has_data_under_load(watched: Watched) -> None:
    async def complete() -> bool:
        missing[:] = await asyncio.to_thread(panels_without_data, watched.prometheus.url, WINDOW, has_exporter=True)
        for rule in watched.rules:
            if not await watched.prometheus.query(measured(rule["expr"])):
                missing.append(rule["alert"])
        return not missing

    missing: list[str] = []
    async with repeated(everything(watched)):
        try:
            await watched.prometheus.until(complete, "everything has data")
        except AssertionError as error:
            raise AssertionError(f"without data: {missing}") from error
        up = await watched.prometheus.query('up{job="join-session"} == 1')
        assert {sample["metric"]["instance"] for sample in up} == {instance(replica) for replica in watched.replicas}


async def test_prometheus_has_just_the_metrics_that_are_documented(watched: Watched) -> None:
    async def differences() -> set[str]:
        return {family(name) for name in await watched.prometheus.families()} ^ {family(name) for name in documented()}

    async def none() -> bool:
        return not await differences()

    try:
        await watched.prometheus.until(none, "the metrics are those that are documented")
    except AssertionError as error:
        raise AssertionError(f"either documented or there: {await differences()}") from error


def family(name: str) -> str:
    """OpenMetrics names families without the suffixes that their samples have."""
    return re.sub(r"_(total|info)$", "", name) if name != "python_info" else "python"


async def test_redis_stopped(watched: Watched) -> None:
    async def attempts() -> None:
        await asyncio.gather(
            watched.members[0].emit("vote", {"movieID": "m1", "rating": 3}), watched.api.create(), watched.api.create()
        )

    watched.world.redis.pause()
    try:
        async with repeated(attempts):
            for replica in watched.replicas:
                await watched.prometheus.fires("JoinSessionRedisUnreachable", instance=instance(replica))
            await watched.prometheus.fires("JoinSessionHttpErrors")
            await watched.prometheus.fires("JoinSessionEventErrors")
    finally:
        watched.world.redis.resume()
    await watched.prometheus.resolved(
        "JoinSessionRedisUnreachable", "JoinSessionHttpErrors", "JoinSessionEventErrors", "JoinSessionSlowDelivery"
    )


async def test_redis_refuses_a_command(watched: Watched) -> None:
    await watched.world.redis.call("ACL", "SETUSER", "default", "-ping")
    try:
        for replica in watched.replicas:
            await watched.prometheus.fires("JoinSessionRedisRefused", instance=instance(replica))
    finally:
        await watched.world.redis.call("ACL", "SETUSER", "default", "+ping")
    await watched.prometheus.resolved("JoinSessionRedisRefused", "JoinSessionRedisUnreachable")


async def test_redis_nearly_full(watched: Watched) -> None:
    await watched.world.redis.call("CONFIG", "SET", "maxmemory", "200mb")
    try:
        await watched.world.redis.call("SETRANGE", "filling", 110 * 2**20, "x")
        await watched.prometheus.fires("JoinSessionRedisMemory")
    finally:
        await watched.world.redis.call("DEL", "filling")
    await watched.prometheus.resolved("JoinSessionRedisMemory")


async def test_nearly_as_many_connections_as_a_replica_takes(watched: Watched) -> None:
    async with open_sockets([watched.replicas[1].url], 60):
        await watched.prometheus.fires("JoinSessionConnectionsNearLimit", instance=instance(watched.replicas[1]))
    await watched.prometheus.resolved("JoinSessionConnectionsNearLimit")


async def test_nearly_as_many_sessions_as_there_may_be(watched: Watched) -> None:
    made = [await watched.api.create() for _ in range(6)]
    await watched.prometheus.fires("JoinSessionSessionsNearLimit")
    for session in made:
        assert (await watched.api.call("DELETE", session.path, token=session.host_token)).status_code == 200
    await watched.prometheus.resolved("JoinSessionSessionsNearLimit")


async def test_pubsub_connections_killed(watched: Watched) -> None:
    async with repeated(lambda: watched.world.redis.call("CLIENT", "KILL", "TYPE", "pubsub"), pause=1):
        for replica in watched.replicas:
            await watched.prometheus.fires("JoinSessionPubSubFlapping", instance=instance(replica))
            await watched.prometheus.fires("JoinSessionResyncs", instance=instance(replica))
    await watched.prometheus.resolved("JoinSessionPubSubFlapping", "JoinSessionResyncs")


async def test_pubsub_cut_for_good(watched: Watched) -> None:
    link = watched.world.links[0]
    await link.refuse()
    try:
        await watched.world.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await watched.prometheus.fires("JoinSessionPubSubLost", instance=instance(watched.replicas[0]))
    finally:
        await link.accept()
    await watched.prometheus.resolved("JoinSessionPubSubLost", "JoinSessionPubSubFlapping", "JoinSessionResyncs")


async def test_slow_sockets(watched: Watched) -> None:
    replica, ratings = watched.replicas[2], itertools.cycle(range(1, 6))
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", replica.port))
    narrow.setblocking(False)
    url = f"ws://127.0.0.1:{replica.port}/socket.io/?EIO=4&transport=websocket"
    async with connect(
        url, sock=narrow, compression=None, ping_interval=None, max_size=None, max_queue=1, close_timeout=1
    ) as lazy:
        await lazy.recv()
        await lazy.send("40")
        await lazy.recv()
        await lazy.send(f'42["join-session","{watched.made.code}"]')
        async with repeated(lambda: watched.members[0].emit("vote", {"movieID": "m2", "rating": next(ratings)})):
            await watched.prometheus.fires("JoinSessionSlowConnections", instance=instance(replica))
        lazy.transport.abort()
    await watched.prometheus.resolved("JoinSessionSlowConnections")


async def test_one_replica_with_all_connections(watched: Watched) -> None:
    async with open_sockets([watched.replicas[1].url], 60):
        await watched.prometheus.fires("JoinSessionConnectionImbalance")
    await watched.prometheus.resolved("JoinSessionConnectionImbalance")


async def test_requests_that_reach_the_wrong_replica(watched: Watched) -> None:
    async with repeated(lambda: poll_elsewhere(watched.api)):
        await watched.prometheus.fires("JoinSessionWrongReplica")
    await watched.prometheus.resolved("JoinSessionWrongReplica")


async def test_a_slow_way_to_redis(watched: Watched) -> None:
    async def visit() -> None:
        async with open_sockets([watched.replicas[0].url], 1) as (visitor,):
            await visitor.emit("join-session", watched.made.code)

    for link in watched.world.links:
        link.delay = 0.7
    try:
        async with repeated(visit):
            await watched.prometheus.fires("JoinSessionSlowJoins")
            await watched.prometheus.fires("JoinSessionSlowDelivery")
    finally:
        for link in watched.world.links:
            link.delay = 0
    await watched.prometheus.resolved("JoinSessionSlowJoins", "JoinSessionSlowDelivery")


async def test_replicas_that_hang(watched: Watched) -> None:
    for replica in watched.replicas:
        replica.pause()
    try:
        for replica in watched.replicas:
            await watched.prometheus.fires("JoinSessionReplicaDown", instance=instance(replica))
        await watched.prometheus.fires("JoinSessionAbsent")
    finally:
        for replica in watched.replicas:
            replica.resume()
    await watched.prometheus.fires("JoinSessionEventLoopLag")
    await watched.prometheus.resolved("JoinSessionReplicaDown", "JoinSessionAbsent", "JoinSessionEventLoopLag")


async def test_a_drain_that_waits_for_redis(watched_alone: Watched) -> None:
    leaving = watched_alone.replicas[2]
    async with open_sockets([leaving.url], 5) as waiting:
        for client in waiting:
            assert (await client.emit("join-session", watched_alone.made.code))["ok"]
        watched_alone.world.redis.pause()
        try:
            votes = [client.emit("vote", {"movieID": "m1", "rating": 5}) for client in waiting for _ in range(10)]
            answers = asyncio.gather(*votes, return_exceptions=True)
            await asyncio.sleep(0)
            for client in waiting:
                await client.read_by_server()
            leaving.terminate()
            await watched_alone.prometheus.fires("JoinSessionDrainStuck", instance=instance(leaving))
        finally:
            watched_alone.world.redis.resume()
        await answers
    assert await asyncio.to_thread(leaving.wait) == 0
    await watched_alone.prometheus.resolved("JoinSessionDrainStuck")


async def test_the_receiver_of_webhooks_takes_nothing(watched: Watched) -> None:
    watched.receiver.answer = lambda _: 500
    await watched.api.create()
    await watched.prometheus.fires("JoinSessionWebhooksLate")
    await watched.prometheus.fires("JoinSessionWebhooksDropped")
    watched.receiver.answer = lambda _: 200
    await watched.prometheus.resolved("JoinSessionWebhooksLate", "JoinSessionWebhooksDropped")


async def test_redis_loses_its_data(watched_alone: Watched) -> None:
    await watched_alone.world.redis.call("FLUSHALL")
    for what in ("everything", "session"):
        await watched_alone.prometheus.fires("JoinSessionDataLost", what=what)
    await watched_alone.prometheus.resolved("JoinSessionDataLost")
