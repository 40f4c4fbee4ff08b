"""The script that `helm test` runs, against real replicas."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.harness.balancer import balancer
from tests.harness.redis import RedisServer
from tests.harness.service import Replica, replicas
from tests.packaging.conftest import Charts, Rendering
from tests.packaging.generate import CHARTS
from tests.packaging.proxies import HAProxy, Traefik, running

SCRIPT = CHARTS / "join-session" / "files" / "join.py"


def test_it_joins_polls_upgrades_and_hears_another_client(service: list[Replica]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, service[0].url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "connected by polling",
        "upgraded to WebSocket",
        "heard the other client join",
    ]


def test_it_fails_where_nobody_serves(service: list[Replica]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "http://127.0.0.1:9"], capture_output=True, text=True, check=False)
    assert done.returncode != 0


async def joined(url: str, together: str) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), url, together]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def test_it_checks_that_the_ingress_is_sticky(
    service: list[Replica], renderings: dict[str, Rendering], tmp_path: Path
) -> None:
    ports = [replica.port for replica in service]
    proxy = Traefik(tmp_path, renderings["traefik"]["Service/join-session"]["metadata"]["annotations"])
    proxy.route(ports)
    async with running(proxy) as url:
        status, said = await joined(url, "replica")
    assert (status, "stayed on one replica" in said) == (0, True), said
    async with balancer(ports) as by_turns:
        status, said = await joined(by_turns.url, "replica")
    assert (status, "the ingress is not sticky" in said) == (1, True), said


async def test_it_checks_that_the_people_of_a_session_meet(charts: Charts, tmp_path: Path) -> None:
    rendering = charts.render("meeting", {"ingress": {"affinity": "session"}}, "haproxy")
    service, ingress = [rendering[f"{kind}/join-session"]["metadata"]["annotations"] for kind in ("Service", "Ingress")]
    async with RedisServer() as redis, replicas(redis.url(), 2, affinity_bucket_cookie="join_session_bucket") as pair:
        ports = [replica.port for replica in pair]
        async with running(HAProxy(tmp_path, service, ingress, ports)) as url:
            status, said = await joined(url, "session")
        assert (status, "met on one replica" in said) == (0, True), said
        async with balancer(ports) as by_turns:
            status, said = await joined(by_turns.url, "session")
        assert (status, "the ingress does not hash" in said) == (1, True), said
