"""Real proxies that are configured as the chart's presets say, with `ingress.affinity=session`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.crowd import crowd
from tests.harness.node import node_clients
from tests.harness.people import TRANSPORTS
from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.packaging.conftest import Charts, Rendering
from tests.packaging.meetings import BUCKET, CONTROLLERS, meet, proxy_before
from tests.packaging.proxies import running

pytestmark = pytest.mark.timeout(300)

SESSION = {"ingress": {"affinity": "session"}}
# The sticky cookie of HAProxy is there as well.
COOKIES = {"affinity_bucket_cookie": BUCKET, "affinity_cookie": "join-session-replica"}


@pytest.mark.parametrize("controller", CONTROLLERS)
async def test_people_of_a_session_meet_on_one_replica(charts: Charts, tmp_path: Path, controller: str) -> None:
    async with RedisServer() as redis, replicas(redis.url(), 4, **COOKIES) as four:
        proxy = proxy_before(controller, charts, tmp_path, [replica.port for replica in four])
        async with running(proxy) as url:
            met = await meet(url, sessions=40, people=4)
            assert met.replicas == 1
            assert len(met.people) == 4
            # Without cookies nobody is kept from any replica.
            alone = await meet(url, sessions=1, people=80, cookies=False)
            assert min(alone.people.values()) >= 5
            assert len(alone.people) == 4


async def test_a_cookie_for_a_replica_gives_way_to_that_of_the_session(charts: Charts, tmp_path: Path) -> None:
    async with RedisServer() as redis, replicas(redis.url(), 4, **COOKIES) as four:
        proxy = proxy_before("haproxy", charts, tmp_path, [replica.port for replica in four])
        async with running(proxy) as url, httpx.AsyncClient(base_url=url, trust_env=False) as host:
            code = (await host.post("/api/session/create")).json()["sessionID"]
            seen = set()
            for _ in range(6):
                async with httpx.AsyncClient(base_url=url, trust_env=False) as newcomer:
                    await newcomer.post("/api/session/join", json={"sessionID": code})
                    assert newcomer.cookies.keys() == {BUCKET, "join-session-replica"}
                    seen |= {await _handshake(newcomer) for _ in range(2)}
            assert len(seen) == 1


@pytest.mark.parametrize(
    ("controller", "count"),
    [
        *((controller, 6) for controller in CONTROLLERS),
        *(pytest.param(controller, 50, marks=[pytest.mark.slow, pytest.mark.serial]) for controller in CONTROLLERS),
    ],
)
async def test_nobody_loses_anything_when_two_replicas_become_four_and_two_again(
    charts: Charts, tmp_path: Path, controller: str, count: int
) -> None:
    kinds = list(TRANSPORTS.values())
    async with (
        RedisServer() as redis,
        replicas(redis.url(), 4, drain_timeout=5, **COOKIES) as four,
        node_clients() as node,
    ):
        ports = [replica.port for replica in four]
        proxy = proxy_before(controller, charts, tmp_path, ports)
        async with running(proxy) as url:
            proxy.route(ports[:2])
            async with crowd(node, url, clients=count, kinds=kinds, joining=True) as early:
                await early.settled()
                # Those whose bucket moves go on by polling, by way of another replica than theirs.
                proxy.route(ports)
                await early.settled()
                async with crowd(node, url, clients=count, kinds=kinds, joining=True) as late:
                    await late.settled()
                    # As Kubernetes does: load balancers take a replica out before it is told to stop.
                    proxy.route([ports[1], ports[3]])
                    for leaving in (four[0], four[2]):
                        leaving.terminate()
                        assert await asyncio.to_thread(leaving.wait) == 0
                    for people in (early, late):
                        await people.settled()
                        await people.nothing_is_lost()


def test_each_preset_hashes_by_the_cookie_that_the_service_sets(charts: Charts) -> None:
    haproxy = _annotations(charts, "haproxy", SESSION)
    *lines, weight = haproxy["haproxy.org/backend-config-snippet"].splitlines()
    assert (lines[0], weight) == (f"balance hash req.cook({BUCKET})", "default-server weight 16")
    other = _annotations(charts, "haproxy-ingress", SESSION)
    assert other["haproxy-ingress.github.io/config-backend"].splitlines() == lines
    assert other["haproxy-ingress.github.io/initial-weight"] == "16"
    nginx = _annotations(charts, "nginx", SESSION)
    assert nginx["nginx.ingress.kubernetes.io/upstream-hash-by"] == "$join_session_affinity"
    assert f"$cookie_{BUCKET}" in nginx["nginx.ingress.kubernetes.io/configuration-snippet"]
    # With it, ingress-nginx would not hash.
    assert not [name for name in nginx if "affinity" in name or "session-cookie" in name]


@pytest.mark.parametrize("controller", ["nginx", "haproxy", "haproxy-ingress"])
def test_presets_are_as_before_without_it(charts: Charts, controller: str) -> None:
    found = json.dumps(_annotations(charts, controller, {}))
    assert "bucket" not in found
    assert "snippet" not in found


def test_envoy_gateway_gets_a_policy_for_the_route(charts: Charts) -> None:
    """Rendered only: no Envoy runs here."""
    rendering = charts.render("envoy", {"httpRoute": {"affinity": "session"}}, "gateway")
    policy = rendering["BackendTrafficPolicy/join-session"]
    assert policy["apiVersion"] == "gateway.envoyproxy.io/v1alpha1"
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "join-session"}
    assert policy["spec"] == {
        "targetRefs": [route],
        # With a ttl Envoy would give a cookie to those who have none.
        "loadBalancer": {"type": "ConsistentHash", "consistentHash": {"type": "Cookie", "cookie": {"name": BUCKET}}},
    }
    assert rendering.settings["JOIN_SESSION_AFFINITY_BUCKET_COOKIE"] == BUCKET
    assert "BackendTrafficPolicy" not in charts.render("no-envoy", {}, "gateway").kinds()


def test_the_cookie_is_as_the_values_for_stickiness_say(charts: Charts, renderings: dict[str, Rendering]) -> None:
    stickiness = {"secure": True, "sameSite": "strict"}
    settings = charts.render("strict", {"ingress": {"affinity": "session", "stickiness": stickiness}}, "nginx").settings
    prefix = "JOIN_SESSION_AFFINITY_BUCKET"
    assert settings[f"{prefix}_COOKIE"] == BUCKET
    assert (settings[f"{prefix}_SECURE"], settings[f"{prefix}_SAME_SITE"]) == ("true", "strict")
    assert "JOIN_SESSION_AFFINITY_COOKIE" not in settings
    assert not [name for name in renderings["nginx"].settings if name.startswith(prefix)]


async def _handshake(client: httpx.AsyncClient) -> str:
    """The replica to which a client comes."""
    sid = json.loads((await client.get("/socket.io/?EIO=4&transport=polling")).text[1:])["sid"]
    return str(sid.partition(".")[0])


def _annotations(charts: Charts, controller: str, values: dict[str, Any]) -> dict[str, str]:
    """Of the Ingress and the Service together."""
    rendering = charts.render(f"{controller}-affinity", values, controller)
    return {
        name: value
        for kind in ("Ingress", "Service")
        for name, value in rendering[f"{kind}/join-session"]["metadata"].get("annotations", {}).items()
    }
