"""Requests that land on the wrong replica: passed on to the owner of their session, or refused at once."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import ClientConnection, connect

from app.forwarding.sender import new_engine_sid
from app.forwarding.signature import CLIENT, SIGNATURE, RequestSigner
from tests.harness.balancer import balancer
from tests.harness.node import NodeClients
from tests.harness.people import TRANSPORTS, Api, movie
from tests.harness.redis import RedisServer
from tests.harness.service import Replica, replicas
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "the secret of the whole deployment"
ORIGIN = "https://app.example"
UNKNOWN = {"code": 1, "message": "Session ID unknown"}
UNAVAILABLE = {"code": 3, "message": "Service unavailable"}
NOBODYS = new_engine_sid("0123456789ab")
POLL = "EIO=4&transport=polling"
UPGRADE = "EIO=4&transport=websocket"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trio(redis: RedisServer) -> AsyncIterator[list[Replica]]:
    """Three replicas whose heartbeats are fast, and that bear with a Redis on a busy machine."""
    settings = {
        "ping_interval": 1,
        "ping_timeout": 10,
        "redis_timeout": 4,
        "allowed_origins": ORIGIN,
        "secret": SECRET,
        "compression": True,
    }
    async with replicas(redis.url(), 3, **settings) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def doors(trio: list[Replica]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """The Socket.IO endpoint of each replica."""
    opened = [httpx.AsyncClient(base_url=replica.url, trust_env=False, timeout=30) for replica in trio]
    yield opened
    for door in opened:
        await door.aclose()


@pytest.mark.parametrize(
    "each", [5, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(240)])]
)
async def test_clients_of_every_kind_live_behind_a_round_robin_without_cookies(
    trio: list[Replica], node: NodeClients, each: int
) -> None:
    kinds = [kind for kind in TRANSPORTS for _ in range(each)]
    forwarded = await forwards(trio)
    async with api_of(trio) as api, balancer([replica.port for replica in trio]) as entrance:
        rooms = [(await api.create()).code for _ in range(max(1, each // 5))]
        clients = await asyncio.gather(*(node.connect(entrance.url, timeout=60, **TRANSPORTS[kind]) for kind in kinds))
        acks = await asyncio.gather(
            *(
                client.emit("join-session", rooms[number % len(rooms)], ack=True, timeout=30)
                for number, client in enumerate(clients)
            )
        )
        assert all(ack["ok"] for ack in acks), acks
        # Longer than a heartbeat and its answer may take.
        for _ in range(20):
            adding = (clients[number].emit("add-movie", movie(), ack=True, timeout=30) for number in range(len(rooms)))
            heads = [ack["version"] for ack in await asyncio.gather(*adding)]
            await asyncio.sleep(0.4)
        for number, client in enumerate(clients):
            await client.until(at_version(heads[number % len(rooms)]), timeout=20)
            versions = [event.args[1]["version"] for event in client.named("session-update")]
            assert versions == sorted(versions)
            assert client.named("disconnect") == []
        assert {client.transport for client, kind in zip(clients, kinds, strict=True) if kind != "polling"} == {
            "websocket"
        }
        await asyncio.gather(*(client.close() for client in clients))
    # A third of the requests land on the owner, the others had to be passed on.
    assert (await forwards(trio) - forwarded)["answered"] > 10 * each
    assert (await forwards(trio))["unreachable"] == forwarded["unreachable"]


async def test_a_poll_and_a_post_are_passed_on(doors: list[httpx.AsyncClient]) -> None:
    sid = await handshake(doors[0])
    posted = await post(doors[1], sid, "40")
    assert (posted.status_code, posted.text) == (200, "ok")
    polled = await poll(doors[2], sid)
    assert polled.text.startswith('40{"sid":')
    assert polled.headers["content-type"] == "text/plain; charset=UTF-8"
    waiting = asyncio.create_task(poll(doors[1], sid))
    assert (await waiting).text == "2"


async def test_an_answer_that_was_passed_on_has_the_headers_of_a_page_elsewhere(
    doors: list[httpx.AsyncClient],
) -> None:
    sid = await handshake(doors[0])
    answer = await post(doors[1], sid, "40", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    refused = await post(doors[1], sid, "40", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


async def test_an_answer_that_is_passed_on_is_compressed_by_the_owner(
    doors: list[httpx.AsyncClient], trio: list[Replica]
) -> None:
    async with api_of(trio) as api:
        made = await api.create(movies=[movie(f"m{number}") for number in range(30)])
        sid = await handshake(doors[0])
        await post(doors[0], sid, "40")
        await post(doors[0], sid, f'42["join-session","{made.code}"]')
        answer = await poll(doors[1], sid)
        while '42["session-update"' not in answer.text:
            answer = await poll(doors[1], sid)
        for accepted in ("gzip", "identity"):
            await api.call("PATCH", made.path, token=made.host_token, json={"title": f"For {accepted}"})
            answer = await poll(doors[1], sid, headers={"Accept-Encoding": accepted})
            while f'"title":"For {accepted}"' not in answer.text:
                answer = await poll(doors[1], sid, headers={"Accept-Encoding": accepted})
            assert answer.headers.get("content-encoding") == ("gzip" if accepted == "gzip" else None)


async def test_what_breaks_the_protocol_breaks_it_from_anywhere(doors: list[httpx.AsyncClient]) -> None:
    sid = await handshake(doors[0])
    refused = await post(doors[1], sid, "4" + "x" * 300_000)
    assert refused.status_code == 413
    assert (await poll(doors[0], sid)).json() == UNKNOWN
    sid = await handshake(doors[0])
    assert (await post(doors[1], sid, "junk")).status_code == 400
    assert (await poll(doors[2], sid)).json() == UNKNOWN


async def test_a_client_that_gives_its_poll_up_is_gone_for_the_owner(doors: list[httpx.AsyncClient]) -> None:
    sid = await handshake(doors[0])
    await post(doors[0], sid, "40")
    await poll(doors[0], sid)
    with pytest.raises(httpx.ReadTimeout):
        await poll(doors[1], sid, timeout=0.3)

    async def gone() -> bool:
        return (await post(doors[0], sid, "3")).status_code == 400

    await until(gone, "the end of the session")


async def test_an_upgrade_is_bridged(doors: list[httpx.AsyncClient], trio: list[Replica]) -> None:
    sid = await handshake(doors[0])
    async with upgrade(trio[1], doors[2], sid) as websocket:
        await websocket.send("40")
        assert str(await websocket.recv()).startswith('40{"sid":')
        big = json.dumps(["unheard-of", "x" * 100_000])
        await websocket.send(f"421{big}")
        assert str(await websocket.recv()).startswith('431[{"ok":false')


async def test_the_close_code_of_the_owner_reaches_the_client(
    doors: list[httpx.AsyncClient], trio: list[Replica]
) -> None:
    sid = await handshake(doors[0])
    async with upgrade(trio[1], doors[1], sid) as websocket:
        await websocket.send("junk")
        await websocket.wait_closed()
        assert websocket.close_code == 1008


async def test_a_client_that_leaves_its_bridge_leaves_the_owner(
    doors: list[httpx.AsyncClient], trio: list[Replica]
) -> None:
    sid = await handshake(doors[0])
    async with upgrade(trio[1], doors[1], sid):
        assert (await poll(doors[0], sid)).json()["code"] == 3

    async def gone() -> bool:
        answer: bool = (await poll(doors[0], sid)).json() == UNKNOWN
        return answer

    await until(gone, "the end of the session")


@pytest.mark.parametrize(
    "sid",
    [new_engine_sid("0123456789ab"), secrets.token_urlsafe(15), "", ".", "x" * 5000],
    ids=["of no replica", "of another server", "empty", "dot", "long"],
)
async def test_a_session_of_nobody_is_refused_as_by_any_server(
    doors: list[httpx.AsyncClient], trio: list[Replica], sid: str
) -> None:
    refused = await poll(doors[0], sid)
    assert (refused.status_code, refused.json()) == (400, UNKNOWN)
    assert (await post(doors[0], sid, "40")).json() == UNKNOWN
    with pytest.raises(websockets.InvalidStatus, match="400"):
        await connect(websocket_url(trio[0], sid), proxy=None)


async def test_unknown_replicas_are_refused_from_memory(doors: list[httpx.AsyncClient], redis: RedisServer) -> None:
    before = await looks(redis)
    started = time.monotonic()
    refused = await asyncio.gather(*(poll(doors[0], new_engine_sid(secrets.token_hex(6))) for _ in range(90)))
    assert [answer.json() for answer in refused] == [UNKNOWN] * 90
    # Four looks a second at the most, and a few more of the three replicas' own.
    assert await looks(redis) - before <= 10 + 10 * (time.monotonic() - started)


async def test_a_session_that_has_ended_is_refused_wherever_it_is_asked_for(doors: list[httpx.AsyncClient]) -> None:
    sid = await handshake(doors[0])
    await post(doors[0], sid, "1")
    for door in doors:
        assert (await poll(door, sid)).json() == UNKNOWN


async def test_the_owner_serves_only_what_a_replica_has_signed(
    doors: list[httpx.AsyncClient], trio: list[Replica], redis: RedisServer
) -> None:
    sid = await handshake(doors[0])
    owner = sid.partition(".")[0]
    query = f"{POLL}&sid={sid}".encode()
    now = round(time.time() * 1000)
    good = signed(SECRET, now, owner, "POST", query, "192.0.2.7")
    forged = {
        "unsigned": {},
        "without a signature": {CLIENT: good[CLIENT]},
        "nonsense": good | {SIGNATURE: b"\xff"},
        "another secret": signed("another secret", now, owner, "POST", query, "192.0.2.7"),
        "too old": signed(SECRET, now - 60_000, owner, "POST", query, "192.0.2.7"),
        "of the future": signed(SECRET, now + 60_000, owner, "POST", query, "192.0.2.7"),
        "for another replica": signed(SECRET, now, "0123456789ab", "POST", query, "192.0.2.7"),
        "for another method": signed(SECRET, now, owner, "GET", query, "192.0.2.7"),
        "for another session": signed(SECRET, now, owner, "POST", query + b"x", "192.0.2.7"),
        "for another client": good | {CLIENT: b"192.0.2.8"},
    }
    async with httpx.AsyncClient(base_url=trio[0].internal_url, trust_env=False) as internal:
        for how, headers in forged.items():
            refused = await internal.post("/forwarded", params=query.decode(), content="40", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), how
        accepted = await internal.post("/forwarded", params=query.decode(), content="40", headers=good)
        assert (accepted.status_code, accepted.text) == (200, "ok")
    with pytest.raises(websockets.InvalidStatus, match="403"):
        await connect(f"{trio[0].internal_url.replace('http', 'ws')}/forwarded?{UPGRADE}&sid={sid}", proxy=None)


async def test_the_public_port_takes_nothing_that_was_passed_on(doors: list[httpx.AsyncClient]) -> None:
    sid = await handshake(doors[0])
    query = f"{POLL}&sid={sid}".encode()
    headers = signed(SECRET, round(time.time() * 1000), sid.partition(".")[0], "POST", query, "192.0.2.7")
    refused = await doors[0].post("/forwarded", params=query.decode(), content="40", headers=headers)
    assert refused.status_code == 404


async def test_nothing_is_passed_on_twice(doors: list[httpx.AsyncClient], trio: list[Replica]) -> None:
    wrong, sid = (await handshake(doors[0])).partition(".")[0], await handshake(doors[1])
    query = f"{POLL}&sid={sid}".encode()
    headers = signed(SECRET, round(time.time() * 1000), wrong, "POST", query, "192.0.2.7")
    before = await forwards(trio)
    async with httpx.AsyncClient(base_url=trio[0].internal_url, trust_env=False) as internal:
        refused = await internal.post("/forwarded", params=query.decode(), content="40", headers=headers)
    assert refused.json() == UNKNOWN
    assert await forwards(trio) == before


async def test_what_is_known_of_the_others_outlives_an_outage_of_redis(
    doors: list[httpx.AsyncClient], redis: RedisServer
) -> None:
    sid = await handshake(doors[0])
    await post(doors[1], sid, "40")
    redis.pause()
    try:
        assert (await poll(doors[1], sid)).text.startswith("40")

        async def doubted() -> bool:
            return (await poll(doors[1], NOBODYS)).status_code == 503

        # What Redis has just said is not asked for again.
        await until(doubted, "Redis is asked in vain")
        answer = await post(doors[1], NOBODYS, "40")
        assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
        assert answer.headers["retry-after"] == "1"
    finally:
        redis.resume()


async def test_nobody_is_taken_for_gone_while_redis_does_not_know_who_asks(
    doors: list[httpx.AsyncClient], redis: RedisServer
) -> None:
    sid = await handshake(doors[0])
    await post(doors[1], sid, "40")

    async def doubted() -> bool:
        for replica in await redis.call("KEYS", "js:replica:*"):
            await redis.call("DEL", replica.decode())
        return (await poll(doors[1], NOBODYS)).status_code == 503

    await until(doubted, "the directory is read while it is empty")
    assert (await poll(doors[1], sid)).text.startswith("40")

    async def trusted() -> bool:
        answer: bool = (await poll(doors[1], NOBODYS)).json() == UNKNOWN
        return answer

    await until(trusted, "the replicas have told Redis of themselves again")


async def test_a_dead_owner_is_noticed_at_once(doors: list[httpx.AsyncClient], trio: list[Replica]) -> None:
    polled, bridged = await handshake(doors[2]), await handshake(doors[2])
    await post(doors[1], polled, "40")
    await poll(doors[1], polled)
    async with upgrade(trio[1], doors[1], bridged) as websocket:
        waiting = asyncio.create_task(poll(doors[1], polled))
        # On its way to the owner before that dies.
        assert (await post(doors[0], polled, "3")).text == "ok"
        trio[2].kill()
        try:
            async with asyncio.timeout(2):
                assert (await waiting).json() == UNKNOWN
                await websocket.wait_closed()
                assert websocket.close_code == 1012
                assert (await poll(doors[0], polled)).json() == UNKNOWN
                assert (await post(doors[1], polled, "40")).json() == UNKNOWN
        finally:
            await asyncio.to_thread(trio[2].restart)


async def test_a_client_whose_owner_dies_between_its_probe_and_its_upgrade_is_told_after_the_upgrade(
    doors: list[httpx.AsyncClient], trio: list[Replica]
) -> None:
    # Stock clients that lose the WebSocket in between neither poll nor send until a heartbeat is missed.
    sid = await handshake(doors[2])
    async with connect(websocket_url(trio[1], sid), proxy=None, compression=None, ping_interval=None) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        trio[2].kill()
        try:
            assert (await poll(doors[1], sid)).json() == UNKNOWN
            await (await websocket.ping())
            await websocket.send("5")
            async with asyncio.timeout(1):
                await websocket.wait_closed()
            assert websocket.close_code == 1012
        finally:
            await asyncio.to_thread(trio[2].restart)


async def test_clients_of_a_dead_replica_are_recovered_elsewhere(trio: list[Replica], node: NodeClients) -> None:
    async with api_of(trio) as api, balancer([replica.port for replica in trio]) as entrance:
        code = (await api.create()).code
        kinds = [kind for kind in TRANSPORTS for _ in range(6)]
        clients = await asyncio.gather(*(node.connect(entrance.url, timeout=30, **TRANSPORTS[kind]) for kind in kinds))
        await asyncio.gather(*(client.emit("join-session", code, ack=True, timeout=30) for client in clients))
        # Without an offset, which comes with an update, no client can be recovered.
        await asyncio.gather(*(client.next("session-update", timeout=20) for client in clients))
        speaker = await node.connect(trio[0].url, **TRANSPORTS["websocket"])
        await speaker.emit("join-session", code, ack=True)

        async def all_settled() -> bool:
            return all(client.connected for client in clients)

        # One whose first attempt to connect failed was disconnected before it had anything to recover.
        seen = [len(client.events) for client in clients]
        trio[1].kill()
        try:
            ack = await speaker.emit("add-movie", movie(), ack=True)
            for client in clients:
                await client.until(at_version(ack["version"]), timeout=20)
            # A client of a living replica may notice only now that its last request went to the dead one.
            await until(all_settled, "those who were disconnected are back")
            for client, before in zip(clients, seen, strict=True):
                disconnected = any(event.name == "disconnect" for event in client.events[before:])
                assert client.recovered == disconnected, client.events
            assert any(client.recovered for client in clients)
            await asyncio.gather(*(client.close() for client in (speaker, *clients)))
        finally:
            await asyncio.to_thread(trio[1].restart)


async def handshake(door: httpx.AsyncClient) -> str:
    opened = (await door.get(f"/socket.io/?{POLL}")).text
    sid: str = json.loads(opened[1:])["sid"]
    return sid


async def poll(door: httpx.AsyncClient, sid: str, **options: Any) -> httpx.Response:
    return await door.get(f"/socket.io/?{POLL}&sid={sid}", **options)


async def post(door: httpx.AsyncClient, sid: str, body: str, **options: Any) -> httpx.Response:
    return await door.post(f"/socket.io/?{POLL}&sid={sid}", content=body, **options)


def websocket_url(replica: Replica, sid: str) -> str:
    return f"ws://127.0.0.1:{replica.port}/socket.io/?{UPGRADE}&sid={sid}"


@asynccontextmanager
async def upgrade(replica: Replica, door: httpx.AsyncClient, sid: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket at one replica that takes the session over from polling at another one."""
    async with connect(websocket_url(replica, sid), proxy=None, compression=None, ping_interval=None) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        assert (await poll(door, sid)).text == "6"
        await websocket.send("5")
        yield websocket


@asynccontextmanager
async def api_of(replicas: list[Replica]) -> AsyncIterator[Api]:
    opened = Api(replicas)
    try:
        yield opened
    finally:
        await opened.close()


async def forwards(replicas: list[Replica]) -> Counter[str]:
    """What became of all requests that the replicas have passed on so far."""
    counts: Counter[str] = Counter()
    async with httpx.AsyncClient(trust_env=False) as client:
        for replica in replicas:
            for line in (await client.get(f"{replica.internal_url}/metrics")).text.splitlines():
                if line.startswith("join_session_forwarded_total{"):
                    counts[line.split('"')[1]] += int(float(line.split()[-1]))
    return counts


async def looks(redis: RedisServer) -> int:
    """How often the list of replicas was read."""
    stats = str(await redis.call("INFO", "commandstats"))
    return int(stats.partition("cmdstat_zrange:calls=")[2].split(",")[0])


def at_version(version: int) -> Any:
    return lambda event: event.name == "session-update" and event.args[1]["version"] >= version


def signed(secret: str, now: int, replica: str, method: str, query: bytes, client: str) -> dict[bytes, bytes]:
    return dict(RequestSigner(secret.encode, lambda: now).sign(replica, method, query, client))
