"""Plain manifests, and the YAML files that are written by hand."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from app import __version__
from tests.packaging.tools import ROOT, documents, kubectl, run, tool

pytestmark = pytest.mark.timeout(300)

BASE = ROOT / "k8s" / "base"
KUSTOMIZATIONS = sorted({path.parent for path in (ROOT / "k8s").rglob("kustomization.yaml")} - {BASE})


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_kustomize_builds_what_kubernetes_knows(folder: Path, tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text(run(kubectl(), "kustomize", folder))
    for version in ("1.29.1", "1.37.0"):
        run(tool("kubernetes-validate"), "--strict", "-k", version, built)


def test_the_base_is_refused_at_once_by_itself() -> None:
    with pytest.raises(AssertionError, match=r"nothing selected by .*/join-session-redis-login"):
        run(kubectl(), "kustomize", BASE)


def test_the_base_takes_whatever_makes_the_login_of_redis(tmp_path: Path) -> None:
    metadata = {"name": "join-session-redis-login", "namespace": "join-session"}
    external = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": metadata}
    (tmp_path / "login.yaml").write_text(json.dumps(external))
    base = os.path.relpath(BASE, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(json.dumps({"components": [base], "resources": ["login.yaml"]}))
    items = documents(run(kubectl(), "kustomize", tmp_path))
    (statefulset,) = [item for item in items if item["kind"] == "StatefulSet"]
    volumes = statefulset["spec"]["template"]["spec"]["volumes"]
    assert "join-session-redis-login" in [volume.get("secret", {}).get("secretName") for volume in volumes]


def test_the_documented_ports_of_a_local_cluster_agree_and_leave_each_other_free() -> None:
    (skaffold,) = documents((ROOT / "skaffold.yaml").read_text())
    (kind,) = documents((ROOT / "k8s" / "kind.yaml").read_text())
    forwarded = {rule["localPort"] for rule in skaffold["portForward"]}
    published = {ports["hostPort"] for node in kind["nodes"] for ports in node.get("extraPortMappings", ())}
    assert forwarded == {8080}
    assert published == {8081, 8443}
    readme = (ROOT / "README.md").read_text().partition("skaffold dev")[2]
    assert re.findall(r"localhost:(\d+)", readme)[0] == "8080"
    assert "http://localhost:8080, and changed" in (ROOT / "skaffold.yaml").read_text().splitlines()[1]


@pytest.mark.parametrize(
    ("overlay", "namespace", "replicas", "image", "hosts"),
    [
        ("development", "join-session", 1, "join-session:dev", []),
        (
            "staging",
            "join-session-staging",
            2,
            f"registry.example/join-session:{__version__}",
            ["staging.movies.example"],
        ),
        ("production", "join-session", 3, f"registry.example/join-session:{__version__}", ["movies.example"]),
    ],
)
def test_each_overlay_has_its_place_image_replicas_host_and_login(
    overlay: str, namespace: str, replicas: int, image: str, hosts: list[str]
) -> None:
    items = documents(run(kubectl(), "kustomize", ROOT / "k8s" / "overlays" / overlay))
    assert {item["metadata"].get("namespace", item["metadata"]["name"]) for item in items} == {namespace}
    (deployment,) = [item for item in items if item["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == replicas
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == image
    (secret,) = [item for item in items if item["kind"] == "Secret"]
    mounted = [volume for volume in pod["volumes"] if volume["name"] == "secrets"]
    assert mounted[0]["projected"]["sources"][0]["secret"]["name"] == secret["metadata"]["name"]
    assert [rule["host"] for item in items if item["kind"] == "Ingress" for rule in item["spec"]["rules"]] == hosts
    assert ("PodDisruptionBudget" in {item["kind"] for item in items}) == (replicas > 1)


def test_yamllint_has_nothing_to_say() -> None:
    config = Path(__file__).parent / "yamllint.yaml"
    places = (".github", "charts", "compose.yaml", "k8s", "skaffold.yaml")
    run(tool("yamllint"), "--strict", "--config-file", config, *places, cwd=ROOT)
