"""What happens to every deployment one day, under a crowd of stock clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.cluster import RELEASE, Cluster, command, say
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.drilled import drilled
from tests.e2e.images import PREVIOUS_IMAGE
from tests.harness.checked_load import checked_load
from tests.harness.conformance import forgive_previous_versions
from tests.harness.dashboard import panels_without_data
from tests.harness.node import NodeClients
from tests.harness.previous import PREVIOUS, version_of
from tests.harness.privacy import assert_nothing_private
from tests.harness.prometheus import Prometheus

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]

PLANNED = 5.0
KILLED = 10.0
# The replicas are replaced, and Redis as well, which takes some ten seconds.
RESTARTED = 15.0
# A node that stops answers nobody. Its clients find out by their heartbeats, after at most 45 seconds, and Kubernetes
# after 40 to 60: node-monitor-grace-period is 50 seconds, and leases are renewed every 10 and looked at every 5. Who
# connects again just before that waits 20 seconds for the node, and up to 5 for the next attempt.
PAUSED = 90.0
# A client without cookies may open its connection just before that as well, by another replica, and send its next
# request to the node: it finds out by its heartbeats again.
PAUSED_WANDERING = 115.0
PAUSE = 120.0


@pytest.fixture(autouse=True)
def previous_versions_forgiven(documented: None) -> Iterator[None]:
    """After each test: the last replica of the previous version ends only after the drill that replaces it."""
    yield
    forgive_previous_versions()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(release: Cluster, prometheus: str, node: NodeClients) -> AsyncIterator[Crowd]:
    say("a hundred clients join")
    async with crowd(node, release.url) as gathered:
        yield gathered


async def rolling_restart(kind: Cluster) -> None:
    await kind.kubectl("rollout", "restart", f"deployment/{RELEASE}")
    await kind.rolled_out()


async def forced_deletion(kind: Cluster) -> None:
    [victim, *_] = await kind.replicas()
    await kind.kubectl("delete", "pod", victim["metadata"]["name"], "--force", "--grace-period=0")
    await kind.rolled_out()


async def scaling(kind: Cluster) -> None:
    for count in (2, 4, 2, 3):
        await kind.kubectl("scale", f"deployment/{RELEASE}", f"--replicas={count}")
        await kind.rolled_out()


async def node_drained(kind: Cluster) -> None:
    name = await _node_without_redis(kind)
    try:
        await kind.kubectl(
            "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s", timeout=200
        )
        await kind.rolled_out()
    finally:
        await kind.kubectl("uncordon", name)


@pytest.mark.parametrize(
    ("drill", "limit"),
    [
        (rolling_restart, PLANNED),
        (forced_deletion, KILLED),
        (scaling, PLANNED),
        (node_drained, PLANNED),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_drill_loses_nothing(
    release: Cluster, people: Crowd, drill: Callable[[Cluster], Awaitable[None]], limit: float
) -> None:
    await drilled(drill.__name__, people, drill(release), limit)


async def test_redis_comes_back_with_everything(release: Cluster, people: Crowd) -> None:
    away = 0.0

    async def redis_deleted() -> None:
        nonlocal away
        deleted = time.time()
        await release.kubectl("delete", "pod", f"{RELEASE}-redis-0", "--wait=true")
        await release.kubectl("rollout", "status", f"statefulset/{RELEASE}-redis", "--timeout=180s", timeout=200)
        away = time.time() - deleted

    await drilled("redis_deleted", people, redis_deleted(), lambda: KILLED + away)


async def test_rolling_to_the_previous_version_and_back_loses_nothing(release: Cluster, people: Crowd) -> None:
    """Both versions serve the same sessions meanwhile, those of a checked load included. Redis is restarted as well."""
    project = await asyncio.to_thread(version_of, PREVIOUS[-1])
    await command("helm", "dependency", "build", str(project / "charts" / "join-session"))

    async def previous_version() -> None:
        tag = PREVIOUS_IMAGE.partition(":")[2]
        await release.install("--set", f"image.tag={tag},config.grace=90", project=project)
        images = [pod["spec"]["containers"][0]["image"] for pod in await release.replicas()]
        assert images == [PREVIOUS_IMAGE] * 3

    async def this_version() -> None:
        await release.install()

    async with checked_load(release.url) as load:
        await drilled("previous_version", people, previous_version(), RESTARTED)
        of_this_version = load.measured.patches
        await drilled("this_version", people, this_version(), RESTARTED)
        assert load.measured.patches > of_this_version > 0


async def test_the_clients_of_a_paused_node_are_elsewhere_in_time(release: Cluster, people: Crowd) -> None:
    name = await _node_without_redis(release)
    # Draining had moved all replicas to the other node, but rolling has spread them again.
    assert len({pod["spec"]["nodeName"] for pod in await release.replicas()}) == 2

    async def node_paused() -> None:
        await command("docker", "pause", name)
        try:
            await asyncio.sleep(PAUSE)
        finally:
            await command("docker", "unpause", name)
        await release.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=120s")

    await drilled("node_paused", people, node_paused(), PAUSED, wandering=PAUSED_WANDERING)


async def test_monitoring_has_seen_it_all(release: Cluster, people: Crowd, prometheus: str) -> None:
    replicas = len(await release.replicas())
    watcher = Prometheus(prometheus)

    async def all_up() -> bool:
        return [up["value"][1] for up in await watcher.query('up{job="join-session"}')] == ["1"] * replicas

    async def nothing_missing() -> bool:
        return not await asyncio.to_thread(panels_without_data, prometheus, "30m", has_exporter=False)

    await watcher.until(all_up, "all replicas are up and nobody else is asked")
    # A Prometheus that had to leave its node knows nothing of the events from before.
    for session in people.sessions:
        for client in session.clients:
            assert (await client.emit("join-session", session.code, ack=True))["ok"]
    await watcher.until(nothing_missing, "every panel has data")
    await watcher.close()


async def test_no_code_name_or_token_is_in_logs_and_metrics(release: Cluster, people: Crowd, prometheus: str) -> None:
    selector = f"app.kubernetes.io/name={RELEASE}"
    assert_nothing_private(await release.kubectl("logs", "-l", selector, "--tail=-1"))
    watcher = Prometheus(prometheus)
    kept = await watcher.series('{job="join-session"}')
    await watcher.close()
    assert kept
    assert_nothing_private("\n".join(value for labels in kept for value in labels.values()))


async def _node_without_redis(kind: Cluster) -> str:
    [redis] = await kind.objects("pods", "-l", "app.kubernetes.io/name=redis")
    nodes: list[dict[str, Any]] = await kind.objects("nodes", "-l", "!node-role.kubernetes.io/control-plane")
    [name] = [item["metadata"]["name"] for item in nodes if item["metadata"]["name"] != redis["spec"]["nodeName"]]
    return str(name)
