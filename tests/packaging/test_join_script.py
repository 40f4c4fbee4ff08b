"""The script that `helm test` runs, against real replicas."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.harness.balancer import balancer
from tests.harness.service import Replica
from tests.packaging.conftest import Rendering
from tests.packaging.generate import CHARTS
from tests.packaging.proxies import Traefik, running

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


async def test_it_checks_that_the_ingress_is_sticky(
    service: list[Replica], renderings: dict[str, Rendering], tmp_path: Path
) -> None:
    async def joined(url: str) -> tuple[int, str]:
        command = [sys.executable, str(SCRIPT), url, "sticky"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    ports = [replica.port for replica in service]
    proxy = Traefik(tmp_path, renderings["traefik"]["Service/join-session"]["metadata"]["annotations"])
    proxy.route(ports)
    async with running(proxy) as url:
        status, said = await joined(url)
    assert (status, "stayed on one replica" in said) == (0, True), said
    async with balancer(ports) as by_turns:
        status, said = await joined(by_turns.url)
    assert (status, "the ingress is not sticky" in said) == (1, True), said
