"""Sentinels replace their primary under a crowd of stock clients; all connections are encrypted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, say
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.drilled import drilled, weekly
from tests.e2e.servers import LOGIN, ask, install_with, lost, servers
from tests.harness.node import NodeClients
from tests.harness.redis import Certificates
from tests.harness.waiting import until

pytestmark = weekly(900)

PLANNED: Final = 5.0
# The sentinels take a primary for dead after five seconds, agree on it, and make a copy the primary.
KILLED: Final = 15.0
PODS: Final = [f"redis-sentinel-{number}" for number in range(3)]
HOSTS: Final = [f"{pod}.redis-sentinel" for pod in PODS]
# The CA is all that the service gets of the certificates.
CA: Final = "redis-ca"
TLS: Final = ("--tls", "--cacert", "/etc/redis-tls/ca.crt")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(kind: Cluster, node: NodeClients, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    made = Certificates.create(tmp_path_factory.mktemp("tls"), *HOSTS)
    await certified(kind, "redis-tls", **{"ca.crt": made.ca, "tls.crt": made.certificate, "tls.key": made.key})
    await certified(kind, CA, **{"ca.crt": made.ca})
    async with servers(kind, "sentinel", "+role"):
        await until(lambda: complete(kind), "every sentinel knows the copies and the other sentinels", poll=0.5)
        _, password = LOGIN.split(":")
        sentinels = ",".join(f"{host}:26379" for host in HOSTS)
        options = f"ssl_ca_certs=/etc/redis-tls/ca.crt&sentinel_username=join-session&sentinel_password={password}"
        url = f"rediss+sentinel://{LOGIN}@{sentinels}/0/main?{options}"
        await install_with(kind, url, "redis.enabled=false", f"externalRedis.tlsSecret={CA}")
        say("a hundred clients join")
        async with crowd(node, kind.url) as gathered:
            yield gathered
    await kind.kubectl("delete", "secret", "redis-tls", CA)


async def test_the_sentinels_replace_the_primary_on_purpose(kind: Cluster, people: Crowd) -> None:
    await drilled("sentinel_failover", people, replaced_on_purpose(kind), PLANNED, silent=PLANNED)


async def test_the_primary_is_lost(kind: Cluster, people: Crowd) -> None:
    await drilled("sentinel_primary_lost", people, replaced_when_lost(kind), KILLED, silent=KILLED)


async def replaced_on_purpose(kind: Cluster) -> None:
    """Without the pause the former primary would still take changes when the new one has stopped to copy it."""
    old = await primary(kind)
    await ask(kind, old, *TLS, "client", "pause", "15000", "write")
    await ask_sentinel(kind, old, "failover", "main")
    await until(lambda: replaced(kind, old), "all sentinels know the new primary", poll=0.5)
    await until(lambda: copies(kind, old), "the former primary is a copy", poll=0.5)


async def replaced_when_lost(kind: Cluster) -> None:
    old = await primary(kind)
    async with lost(kind, old):
        await until(lambda: replaced(kind, old), "the other sentinels know the new primary", poll=0.5)
    await until(lambda: copies(kind, old), "the former primary is a copy", poll=0.5)


async def primary(kind: Cluster, by: str = PODS[0]) -> str:
    """The pod that a sentinel takes for the primary."""
    host = (await ask_sentinel(kind, by, "get-master-addr-by-name", "main")).split()[0]
    return PODS[HOSTS.index(host)]


async def replaced(kind: Cluster, old: str) -> bool:
    known = {await primary(kind, by=pod) for pod in PODS if pod != old}
    return len(known) == 1 and old not in known


async def copies(kind: Cluster, pod: str) -> bool:
    return "master_link_status:up" in await ask(kind, pod, *TLS, "info", "replication")


async def complete(kind: Cluster) -> bool:
    for pod in PODS:
        told = (await ask_sentinel(kind, pod, "master", "main")).splitlines()
        facts = dict(zip(told[::2], told[1::2], strict=True))
        if (facts.get("num-slaves"), facts.get("num-other-sentinels")) != ("2", "2"):
            return False
    return True


async def ask_sentinel(kind: Cluster, pod: str, *command: str) -> str:
    return await ask(kind, pod, *TLS, "-p", "26379", "sentinel", *command)


async def certified(kind: Cluster, name: str, **files: Path) -> None:
    await kind.kubectl("delete", "secret", name, "--ignore-not-found")
    parts = (f"--from-file={key}={path}" for key, path in files.items())
    await kind.kubectl("create", "secret", "generic", name, *parts)
