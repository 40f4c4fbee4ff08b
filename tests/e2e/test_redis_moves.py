"""Another server takes the place of the chart's own Redis, as docs/redis.md says, under a crowd of stock clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from tests.e2e.cluster import RELEASE, Cluster, say
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.drilled import drilled, weekly
from tests.e2e.servers import ADMINISTRATOR, ask, install_with, servers
from tests.harness.node import NodeClients
from tests.harness.waiting import until

pytestmark = weekly(900)

PLANNED: Final = 5.0
OLD: Final = f"{RELEASE}-redis-0"
NEW: Final = "redis-new-0"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(kind: Cluster, node: NodeClients) -> AsyncIterator[Crowd]:
    async with servers(kind, "new", ""):
        await kind.install("--set", f"redis.auth.password={ADMINISTRATOR}")
        say("a hundred clients join")
        async with crowd(node, kind.url) as gathered:
            yield gathered


async def test_the_sessions_move_to_another_redis(kind: Cluster, people: Crowd) -> None:
    async def redis_moved() -> None:
        login = f":{ADMINISTRATOR}"
        await ask_old(kind, "config", "set", "masterauth", ADMINISTRATOR)
        await ask(kind, NEW, "config", "set", "masterauth", ADMINISTRATOR)
        await ask(kind, NEW, "replicaof", f"{RELEASE}-redis", "6379")
        assert await ask(kind, NEW, "config", "rewrite") == "OK"
        await until(lambda: copied(kind), "the new server is a complete copy", poll=0.5)
        url = f"redis://{login}@{RELEASE}-redis:6379,redis-new:6379/0"
        await install_with(kind, url, "externalRedis.moving=true")
        assert await ask_old(kind, "failover") == "OK"
        await until(lambda: took_over(kind), "the new server is the primary", poll=0.5)
        await install_with(kind, f"redis://{login}@redis-new:6379/0", "redis.enabled=false")

    await drilled("redis_moved", people, redis_moved(), PLANNED, silent=PLANNED)
    assert await kind.objects("statefulsets", "-l", "app.kubernetes.io/name=redis") == []


async def ask_old(kind: Cluster, *command: str) -> str:
    """The chart's server; its password is in a file."""
    script = 'export REDISCLI_AUTH="$(cat /etc/redis-secret/redis-password)" && exec valkey-cli "$@"'
    return (await kind.kubectl("exec", OLD, "-c", "redis", "--", "sh", "-c", script, "sh", *command)).strip()


async def copied(kind: Cluster) -> bool:
    return "master_link_status:up" in await ask(kind, NEW, "info", "replication")


async def took_over(kind: Cluster) -> bool:
    return (await ask(kind, NEW, "role")).startswith("master")
