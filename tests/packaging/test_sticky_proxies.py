"""Three replicas behind real proxies that are configured as the presets of the chart say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.e2e.crowd import POLLING_WITH_COOKIES, crowd
from tests.harness.node import node_clients
from tests.harness.redis import RedisServer
from tests.harness.service import Replica, replicas
from tests.packaging.conftest import Rendering
from tests.packaging.proxies import HAProxy, Proxy, Traefik, running

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("controller", "count"),
    [
        ("haproxy", 6),
        pytest.param("haproxy", 50, marks=[pytest.mark.slow, pytest.mark.serial]),
        pytest.param("traefik", 50, marks=[pytest.mark.slow, pytest.mark.serial]),
    ],
)
async def test_clients_with_cookies_stay_and_nobody_loses_anything_when_replicas_go(
    renderings: dict[str, Rendering], tmp_path: Path, controller: str, count: int
) -> None:
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 3, drain_timeout=5, affinity_cookie="join-session-replica") as trio,
        node_clients() as node,
    ):
        proxy = _proxy(controller, renderings[controller], tmp_path, trio)
        proxy.route([replica.port for replica in trio])
        async with running(proxy) as url, crowd(node, url, clients=count, kinds=POLLING_WITH_COOKIES) as polling:
            await polling.settled()
            # Each of them has polled many times, and no replica had to pass a request on to another one.
            assert await _forwarded(trio) == 0
            async with crowd(node, url, clients=count) as mixed:
                trio[0].terminate()
                assert await asyncio.to_thread(trio[0].wait) == 0
                proxy.route([replica.port for replica in trio[1:]])
                for people in (polling, mixed):
                    await people.settled()
                trio[1].kill()
                proxy.route([trio[2].port])
                for people in (polling, mixed):
                    await people.settled()
                    await people.nothing_is_lost()


def _proxy(controller: str, rendering: Rendering, folder: Path, trio: list[Replica]) -> Proxy:
    service = rendering["Service/join-session"]["metadata"]["annotations"]
    if controller == "traefik":
        return Traefik(folder, service)
    ingress = rendering["Ingress/join-session"]["metadata"]["annotations"]
    return HAProxy(folder, service, ingress, [replica.port for replica in trio])


async def _forwarded(trio: list[Replica]) -> float:
    """Requests that a replica passed on to another one, so far."""
    total = 0.0
    async with httpx.AsyncClient(trust_env=False) as client:
        for replica in trio:
            for line in (await client.get(f"{replica.internal_url}/metrics")).text.splitlines():
                if line.startswith("join_session_forwarded_total"):
                    total += float(line.rpartition(" ")[2])
    return total
