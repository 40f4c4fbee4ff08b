"""A replica that is told to stop: its clients go elsewhere and lose nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from tests.harness.balancer import balancer
from tests.harness.node import Event, NodeClients
from tests.harness.people import TRANSPORTS, Api, movie
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN, Replica, replicas
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

POLLING = "/socket.io/?EIO=4&transport=polling"
WINDOW = 25
# Redis is not what is tried here, and a machine that is busy with hundreds of clients may be slow.
BUSY = 10
PEOPLE_PER_SESSION = 5


@pytest.mark.parametrize("each", [10, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.serial])])
async def test_everybody_is_elsewhere_within_the_window_and_has_lost_nothing(node: NodeClients, each: int) -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 3, drain_timeout=WINDOW, redis_timeout=BUSY) as trio,
        balancer([trio[0].port]) as entrance,
    ):
        async with changing_sessions(trio[1:], 3 * each // PEOPLE_PER_SESSION) as (codes, versions):
            kinds = [kind for kind in TRANSPORTS for _ in range(each)]
            clients = await asyncio.gather(
                *(node.connect(entrance.url, timeout=60, **TRANSPORTS[kind]) for kind in kinds)
            )
            homes = {client: codes[number % len(codes)] for number, client in enumerate(clients)}
            joining = (client.emit("join-session", code, ack=True, timeout=30) for client, code in homes.items())
            assert all(ack["ok"] for ack in await asyncio.gather(*joining))
            # From now on two thirds of the requests reach the replica, which has all clients, by way of the others.
            entrance.ports = [replica.port for replica in trio]
            terminated = time.time()
            trio[0].terminate()
            comebacks = await asyncio.gather(*(client.next("connect", timeout=2 * WINDOW) for client in clients))
            assert max(event.at for event in comebacks) - terminated <= WINDOW
            assert await asyncio.to_thread(trio[0].wait) == 0
        await asyncio.gather(*(client.until(at_version(versions[code]), timeout=20) for client, code in homes.items()))
        for client in clients:
            seen = [event.args[1]["version"] for event in client.named("session-update")]
            assert seen == sorted(seen)
            assert client.recovered
            assert len(client.named("joined-session")) == 1
        await asyncio.gather(*(client.close() for client in clients))
        assert [line for line in trio[0].logs() if line["level"] not in ("info", "debug")] == []


async def test_a_draining_replica_refuses_newcomers_and_goes_on_serving() -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), drain_timeout=30, affinity_cookie="route", affinity_bucket_cookie="bucket") as [replica],
        httpx.AsyncClient(base_url=replica.url, trust_env=False) as client,
    ):
        code = await create(replica)
        # Its client does not poll, so there is something to wait for.
        sid = json.loads((await client.get(POLLING)).text[1:])["sid"]
        replica.terminate()
        await until(lambda: draining(replica), "the drain")
        refused = await client.get(POLLING)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        # Or a load balancer would send the client here again.
        assert refused.headers.get_list("set-cookie") == [
            "route=; Path=/; Max-Age=0; HttpOnly",
            "bucket=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax",
        ]
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await connect(f"ws://127.0.0.1:{replica.port}/socket.io/?EIO=4&transport=websocket", proxy=None)
        served = await client.post("/api/session/join", json={"sessionID": code})
        assert served.status_code == 200
        assert served.headers["connection"] == "close"
        chosen, cleared = served.headers.get_list("set-cookie")
        assert chosen.startswith("bucket=")
        assert cleared == refused.headers.get_list("set-cookie")[0]
        connecting = f'40\x1e421["join-session","{UNKNOWN}"]'
        assert (await client.post(f"{POLLING}&sid={sid}", content=connecting)).text == "ok"
        packets = []
        while "1" not in packets:
            packets += (await client.get(f"{POLLING}&sid={sid}")).text.split("\x1e")
        assert [packet.partition("{")[0] for packet in packets] == ["40", '42["error",', "431[", "1"]
        assert await asyncio.to_thread(replica.wait) == 0


async def test_an_upgrade_by_way_of_a_draining_replica_is_refused_or_led_to_its_end() -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 2, drain_timeout=30) as [leaving, owner],
        httpx.AsyncClient(base_url=leaving.url, trust_env=False) as passing,
        httpx.AsyncClient(base_url=owner.url, trust_env=False) as door,
    ):
        # A client of its own that does not poll keeps the drain going.
        await passing.get(POLLING)
        probing, polling = [json.loads((await door.get(POLLING)).text[1:])["sid"] for _ in range(2)]
        upgrade = f"ws://127.0.0.1:{leaving.port}/socket.io/?EIO=4&transport=websocket&sid="
        async with connect(upgrade + probing, proxy=None) as websocket:
            await websocket.send("2probe")
            assert await websocket.recv() == "3probe"
            leaving.terminate()
            await until(lambda: draining(leaving), "the drain")
            with pytest.raises(websockets.InvalidStatus, match="400"):
                await connect(upgrade + polling, proxy=None)
            assert (await passing.post(f"{POLLING}&sid={polling}", content="40")).text == "ok"
            assert (await passing.get(f"{POLLING}&sid={polling}")).text.startswith("40")
            # Stock clients that lose a WebSocket now would neither poll nor send until a heartbeat is missed.
            await websocket.send("5")
            await websocket.wait_closed()
            assert websocket.close_code == 1012
        assert (await door.get(f"{POLLING}&sid={probing}")).status_code == 400
        assert await asyncio.to_thread(leaving.wait) == 0


async def test_what_was_received_is_acknowledged_before_its_socket_is_closed() -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), drain_timeout=30, redis_timeout=1.9) as [replica],
        open_sockets([replica.url], 1) as [socket],
    ):
        assert (await socket.emit("join-session", await create(replica)))["ok"]
        redis.pause()
        try:
            adding = asyncio.create_task(socket.emit("add-movie", movie()))
            await asyncio.sleep(0)
            await socket.read_by_server()
            replica.terminate()
            await until(lambda: draining(replica), "the drain")
        finally:
            redis.resume()
        assert (await adding)["ok"]
        await socket.closed()
        assert await asyncio.to_thread(replica.wait) == 0


async def test_a_second_signal_ends_the_drain_at_once() -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), drain_timeout=30) as [replica],
        httpx.AsyncClient(base_url=replica.url, trust_env=False) as client,
    ):
        assert (await client.get(POLLING)).status_code == 200
        replica.terminate()
        await until(lambda: draining(replica), "the drain")
        replica.terminate()
        assert await asyncio.to_thread(replica.wait) == 0
        [stopping, stopped] = [line for line in replica.logs() if line["message"].startswith("stop")]
        # A client that does not poll is waited for.
        assert datetime.fromisoformat(stopped["ts"]) - datetime.fromisoformat(stopping["ts"]) < timedelta(seconds=5)


@asynccontextmanager
async def changing_sessions(staying: Sequence[Replica], count: int) -> AsyncIterator[tuple[list[str], dict[str, int]]]:
    """Sessions at replicas that stay, with a change every two seconds, and the versions last acknowledged."""
    async with open_sockets([replica.url for replica in staying], count) as hosts:
        codes = [await create(staying[0]) for _ in hosts]
        versions: dict[str, int] = {}
        changing = [asyncio.create_task(change(host, code, versions)) for host, code in zip(hosts, codes, strict=True)]
        try:
            yield codes, versions
        finally:
            for task in changing:
                task.cancel()
            results = await asyncio.gather(*changing, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def change(host: Socket, code: str, versions: dict[str, int]) -> None:
    assert (await host.emit("join-session", code))["ok"]
    assert (await host.emit("add-movie", movie("m")))["ok"]
    for rating in itertools.cycle((1, 2, 3, 4, 5)):
        ack = await host.emit("vote", {"movieID": "m", "rating": rating})
        assert ack["ok"], ack
        versions[code] = ack["version"]
        await asyncio.sleep(2)


async def create(replica: Replica) -> str:
    api = Api([replica])
    try:
        return (await api.create()).code
    finally:
        await api.close()


async def draining(replica: Replica) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{replica.internal_url}/readyz")
    return (answer.status_code, answer.json()["status"]) == (200, "draining")


def at_version(version: int) -> Callable[[Event], bool]:
    return lambda event: event.name == "session-update" and event.args[1]["version"] >= version
