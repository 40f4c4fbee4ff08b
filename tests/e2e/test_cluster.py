"""The chart on a real cluster of three nodes: accepted, installed, tested by itself."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import NAMESPACE, RELEASE, ROOT, Cluster, command

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_the_api_server_accepts_every_values_file(kind: Cluster) -> None:
    for values in sorted((ROOT / "charts" / "join-session" / "ci").glob("*.yaml")):
        chart = str(ROOT / "charts" / "join-session")
        await kind.helm("install", "dry", chart, "-f", str(values), "--dry-run=server")
        rendered = await kind.helm("template", "dry", chart, "-f", str(values))
        said = await command(
            "kubectl", "--context", f"kind-{kind.name}", "-n", NAMESPACE, "apply", "--dry-run=server", "-f", "-",
            stdin=rendered,
        )  # fmt: skip
        assert "Warning" not in said, (values.name, said)


async def test_the_api_server_accepts_the_names_of_any_release(kind: Cluster) -> None:
    chart = str(ROOT / "charts" / "join-session")
    for name in ("123", "true", "a.b", "join-session-redis", "r" * 53):
        rendered = await kind.helm("template", name, chart, "--set", "redis.auth.password=of-a-test")
        await command(
            "kubectl", "--context", f"kind-{kind.name}", "-n", NAMESPACE, "apply", "--dry-run=server", "-f", "-",
            stdin=rendered,
        )  # fmt: skip


async def test_helm_test_is_green(release: Cluster) -> None:
    said = await release.helm("test", RELEASE)
    assert "Succeeded" in said


async def test_helm_test_comes_through_the_ingress_and_finds_it_sticky(release: Cluster) -> None:
    await release.install("--set", f"tests.url=http://{await release.entrance()}")
    assert "Succeeded" in await release.helm("test", RELEASE)


async def test_the_pods_are_spread_over_the_nodes(release: Cluster) -> None:
    assert len({pod["spec"]["nodeName"] for pod in await release.replicas()}) == 2
