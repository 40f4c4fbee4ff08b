"""An autoscaler that counts connections, by way of a real metrics adapter, under a crowd of stock clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio

from tests.e2e.cluster import RELEASE, ROOT, Cluster, command, say
from tests.e2e.crowd import crowd
from tests.e2e.drilled import drilled, weekly
from tests.e2e.images import ADAPTER_IMAGE, provide_adapter
from tests.harness.node import NodeClients
from tests.harness.waiting import until
from tests.packaging.tools import documents

pytestmark = weekly(1500)

PLANNED: Final = 5.0
MANIFEST: Final = Path(__file__).parent / "autoscaling.yaml"
RULES: Final = ROOT / "k8s" / "autoscaling" / "prometheus-adapter.yaml"
# A hundred connections are too many for two replicas, and few enough for three.
SCALED: Final = (
    "autoscaling.enabled=true,autoscaling.minReplicas=2,autoscaling.maxReplicas=4,"
    "autoscaling.targetCPUUtilizationPercentage=null,"
    "autoscaling.connections.enabled=true,autoscaling.connections.target=40,"
    # Sooner than the chart's, which is a quarter of an hour.
    "autoscaling.behavior.scaleDown.stabilizationWindowSeconds=15,"
    "autoscaling.behavior.scaleDown.policies[0].type=Pods,autoscaling.behavior.scaleDown.policies[0].value=1,"
    "autoscaling.behavior.scaleDown.policies[0].periodSeconds=15"
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def adapter(kind: Cluster) -> AsyncIterator[None]:
    say("installing the metrics adapter")
    await asyncio.to_thread(provide_adapter)
    await kind.load(ADAPTER_IMAGE)
    [rules] = [item["rules"]["custom"] for item in documents(RULES.read_text())]
    config = json.dumps({"rules": rules})
    # Not of one namespace only.
    kubectl = ("kubectl", "--context", f"kind-{kind.name}")
    in_metrics = (*kubectl, "-n", "metrics")
    try:
        await command(*kubectl, "apply", "-f", str(MANIFEST))
        await command(*in_metrics, "create", "configmap", "adapter", f"--from-literal=config.yaml={config}")
        await command(*in_metrics, "rollout", "status", "deployment/metrics", "--timeout=120s", timeout=140)
        yield
    finally:
        await command(*kubectl, "delete", "-f", str(MANIFEST), "--ignore-not-found", timeout=180)


async def test_replicas_follow_the_connections(kind: Cluster, adapter: None, node: NodeClients) -> None:
    await kind.install("--set", "replicaCount=2")
    async with crowd(node, kind.url) as people:

        async def scaled_up() -> None:
            await kind.install("--set", SCALED)
            await until(lambda: has(kind, 3), "the autoscaler asks for three replicas", timeout=120, poll=1)
            await kind.rolled_out()

        await drilled("autoscaled_up", people, scaled_up(), PLANNED)
        assert await has(kind, 3)
    await until(lambda: has(kind, 2), "the autoscaler goes back to two replicas", timeout=180, poll=1)


async def has(kind: Cluster, replicas: int) -> bool:
    wanted = await kind.kubectl("get", "deployment", RELEASE, "-o", "jsonpath={.spec.replicas}")
    return int(wanted) == replicas
