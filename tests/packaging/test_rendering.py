"""What a rendering may take from a cluster, and what it does where there is none to ask: secrets and replicas."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.api_server import ApiServer, api_server
from tests.packaging.conftest import NAMESPACE, RELEASE, Charts
from tests.packaging.generate import CHARTS
from tests.packaging.tools import HELMS, documents, helm, run

pytestmark = pytest.mark.timeout(300)

SCALED = {
    "autoscaling": "autoscaling.enabled=true,autoscaling.minReplicas=3",
    "keda": "keda.enabled=true,keda.minReplicas=3,keda.prometheusAddress=http://prometheus",
}


@pytest.fixture(params=HELMS)
def program(request: pytest.FixtureRequest) -> Path:
    return helm(request.param)


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    """Where one may see what is in the namespace of the release, which is still empty."""
    with api_server(NAMESPACE) as server:
        yield server


def rendered(program: Path, chart: Path, *options: str, cluster: ApiServer | None = None) -> dict[str, dict[str, Any]]:
    """What Helm makes of the chart, by kind and name."""
    asking = (
        ("--dry-run=server", "--kube-apiserver", cluster.url, "--disable-openapi-validation", "--no-hooks")
        if cluster
        else ()
    )
    text = run(program, "template", RELEASE, chart, "--namespace", NAMESPACE, *asking, *options)
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents(text)}


def password(objects: dict[str, dict[str, Any]]) -> str:
    return base64.b64decode(objects["Secret/join-session-redis"]["data"]["redis-password"]).decode()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        # Helm 3 asks a cluster for its version even for `install --dry-run=client`.
        ("helm3", ("template",)),
        ("helm4", ("template",)),
        ("helm4", ("install", "--dry-run=client")),
    ],
)
def test_no_rendering_without_a_cluster_makes_a_password_up(
    charts: Charts, name: str, command: tuple[str, ...]
) -> None:
    with pytest.raises(AssertionError) as refusal:
        run(helm(name), command[0], RELEASE, charts.path, *command[1:])
    assert "Set redis.auth.existingSecret or redis.auth.password" in str(refusal.value)


def test_redis_by_itself_makes_no_password_up_either(program: Path) -> None:
    with pytest.raises(AssertionError, match="redis has no password"):
        rendered(program, CHARTS / "redis")


def test_lint_asks_for_no_password(charts: Charts, program: Path) -> None:
    run(program, "lint", "--strict", charts.path)


def test_an_installation_into_a_namespace_of_ones_own_gets_a_random_password(
    charts: Charts, program: Path, cluster: ApiServer
) -> None:
    first, second = (password(rendered(program, charts.path, cluster=cluster)) for _ in range(2))
    assert len(first) == len(second) == 32
    assert first != second


def test_an_upgrade_keeps_the_password(charts: Charts, program: Path, cluster: ApiServer) -> None:
    made = rendered(program, charts.path, cluster=cluster)
    cluster.put("/api/v1", RELEASE, made["Secret/join-session-redis"])
    assert password(rendered(program, charts.path, cluster=cluster)) == password(made)


@pytest.mark.parametrize("scaler", SCALED)
def test_an_autoscaler_finds_the_replicas_that_there_are(
    charts: Charts, program: Path, cluster: ApiServer, scaler: str
) -> None:
    def replicas(*options: str, asked: ApiServer | None = cluster) -> int | None:
        values = ("--set", "redis.auth.password=of-a-test,replicaCount=2", *options)
        deployment = rendered(program, charts.path, *values, cluster=asked)["Deployment/join-session"]
        count: int | None = deployment["spec"].get("replicas")
        return count

    on = ("--set", SCALED[scaler])
    assert replicas() == 2
    assert replicas(*on) == 3
    for live in (5, 0):
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": RELEASE}}
        cluster.put("/apis/apps/v1", RELEASE, {**deployment, "spec": {"replicas": live}})
        assert replicas(*on) == live
    assert replicas(*on, asked=None) is None
    assert replicas() == 2


def test_reloader_hears_of_the_secrets_that_others_change(charts: Charts, program: Path) -> None:
    def annotations(*options: str) -> dict[str, str]:
        rendering = rendered(program, charts.path, "-f", str(charts.values("external-redis")), *options)
        metadata: dict[str, Any] = rendering["Deployment/join-session"]["metadata"]
        given: dict[str, str] = metadata.get("annotations", {})
        return given

    existing = ("--set", "secrets.existingSecret=tokens,secrets.existingSecretKeys.secret=secret")
    assert annotations(*existing) == {}
    assert annotations(*existing, "--set", "reloader=true") == {
        "secret.reloader.stakater.com/reload": "tokens,managed-redis,managed-redis-ca"
    }
