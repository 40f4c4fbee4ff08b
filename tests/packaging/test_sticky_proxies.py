"""Three replicas behind real proxies that are configured as the presets of the chart say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.node import Client, Event, NodeClients, node_clients
from tests.harness.people import TRANSPORTS, Api, Made, movie
from tests.harness.redis import RedisServer, until
from tests.harness.service import Replica, replicas
from tests.packaging.conftest import Rendering
from tests.packaging.proxies import HAProxy, Proxy, Traefik, running

pytestmark = pytest.mark.timeout(300)

COOKIES = {"withCredentials": True}


@pytest.mark.parametrize(
    ("controller", "each"),
    [
        ("haproxy", 3),
        pytest.param("haproxy", 25, marks=pytest.mark.slow),
        pytest.param("traefik", 25, marks=pytest.mark.slow),
    ],
)
async def test_clients_with_cookies_stay_and_lose_nothing_when_replicas_go(
    renderings: dict[str, Rendering], tmp_path: Path, controller: str, each: int
) -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 3, drain_timeout=5, affinity_cookie="join-session-replica") as trio,
        node_clients() as node,
    ):
        proxy = _proxy(controller, renderings[controller], tmp_path, trio)
        proxy.route([replica.port for replica in trio])
        async with running(proxy) as url, changing_session(trio[2]) as (made, changes):
            polling = await _join(node, url, made.code, "polling", each)
            await changes.more(3)
            # Each client polled several times: no request went to a replica that had to pass it on.
            assert await _forwarded(trio) == 0
            kinds = [await _join(node, url, made.code, kind, each) for kind in ("default", "websocket")]
            without = await _join(node, url, made.code, "polling", each, cookies=False)
            clients = [*polling, *(client for kind in kinds for client in kind), *without]

            trio[0].terminate()
            assert await asyncio.to_thread(trio[0].wait) == 0
            proxy.route([replica.port for replica in trio[1:]])
            await changes.more(3)
            trio[1].kill()
            proxy.route([trio[2].port])
            await changes.more(3)
            changes.stop()

            await asyncio.gather(*(client.until(_at(changes.version), timeout=60) for client in clients))
            for client in clients:
                versions = [event.args[1]["version"] for event in client.named("session-update")]
                assert versions == sorted(versions)
                assert len(client.named("joined-session")) == 1
            api = Api([trio[2]])
            kept = {item["id"] for item in (await api.read(made.code))["sessionData"]["movies"]}
            await api.close()
            assert changes.acknowledged <= kept


class Changes:
    """A session to which movies are added all the time, and what was acknowledged of it."""

    def __init__(self) -> None:
        self.version = 0
        self.acknowledged: set[str] = set()
        self._stopped = False

    async def keep_on(self, api: Api, made: Made) -> None:
        while not self._stopped:
            name = f"m{len(self.acknowledged)}"
            added = await api.call("POST", f"{made.path}/movies", token=made.host_token, json={"movies": [movie(name)]})
            assert added.status_code == 200, added.text
            self.version = added.json()["version"]
            self.acknowledged.add(name)
            await asyncio.sleep(0.1)

    async def more(self, count: int) -> None:
        """Waits for so many changes more."""
        wanted = len(self.acknowledged) + count

        async def reached() -> bool:
            return len(self.acknowledged) >= wanted

        await until(reached, f"{count} changes")

    def stop(self) -> None:
        self._stopped = True


@asynccontextmanager
async def changing_session(replica: Replica) -> AsyncIterator[tuple[Made, Changes]]:
    api = Api([replica])
    made = await api.create(capacity=200)
    changes = Changes()
    task = asyncio.create_task(changes.keep_on(api, made))
    try:
        yield made, changes
    finally:
        changes.stop()
        await task
        await api.close()


def _proxy(controller: str, rendering: Rendering, folder: Path, trio: list[Replica]) -> Proxy:
    service = rendering["Service/join-session"]["metadata"]["annotations"]
    if controller == "traefik":
        return Traefik(folder, service)
    ingress = rendering["Ingress/join-session"]["metadata"]["annotations"]
    return HAProxy(folder, service, ingress, [replica.port for replica in trio])


async def _join(node: NodeClients, url: str, code: str, kind: str, count: int, *, cookies: bool = True) -> list[Client]:
    options = TRANSPORTS[kind] | (COOKIES if cookies else {})
    clients = await asyncio.gather(*(node.connect(url, timeout=30, **options) for _ in range(count)))
    acks = await asyncio.gather(*(client.emit("join-session", code, ack=True, timeout=30) for client in clients))
    assert all(ack["ok"] for ack in acks), acks
    return clients


async def _forwarded(trio: list[Replica]) -> float:
    """Requests that a replica passed on to another one, so far."""
    total = 0.0
    async with httpx.AsyncClient(trust_env=False) as client:
        for replica in trio:
            for line in (await client.get(f"{replica.internal_url}/metrics")).text.splitlines():
                if line.startswith("join_session_forwarded_total"):
                    total += float(line.rpartition(" ")[2])
    return total


def _at(version: int) -> Callable[[Event], bool]:
    return lambda event: event.name == "session-update" and event.args[1]["version"] >= version
