"""docs/chart-comparison.md: what platform teams expect of a chart, where this one has it, and how others do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ROWS", "comparison"]

CHART: Final = "charts/join-session"
REDIS: Final = "charts/redis"
TESTS: Final = "tests/packaging"

_HEAD: Final = """# The chart beside others

What a platform team expects of the chart of a service with long connections, where this chart has it, and how podinfo,
Centrifugo and Bitnami's Redis do, as far as the row concerns them. `python -m tests.packaging.generate` finds the lines
and writes this page; a test compares.

Read: podinfo `eec06d1` (chart 6.14.1), Centrifugo `e4325c0` (13.5.0), Bitnami `5165628` (redis 23.1.1). "partly" and
"no" are what those files had; "n/a" is what a chart of Redis cannot have.

| # | Expected | join-session | podinfo | Centrifugo | Bitnami |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """`places` are files with a text that is in the line meant, the first that has it."""

    expected: str
    places: dict[str, str]
    podinfo: str
    centrifugo: str
    bitnami: str
    here: str = "yes"


def comparison(root: Path) -> str:
    """The page; ValueError if a line is no longer there."""
    lines = []
    for number, row in enumerate(ROWS, 1):
        cells = (
            str(number),
            row.expected,
            f"{row.here}: {_links(root, row)}",
            row.podinfo,
            row.centrifugo,
            row.bitnami,
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    return _HEAD + "".join(lines)


def _links(root: Path, row: Row) -> str:
    found = []
    for path, text in row.places.items():
        number = _line(root / path, text)
        found.append(f"[{path}:{number}](../{path}#L{number})")
    return ", ".join(found)


def _line(path: Path, text: str) -> int:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if text in line:
            return number
    raise ValueError(f"{path} has no line with {text!r}: say in {__name__} where that is now")


ROWS: Final = [
    Row(
        "`apiVersion: v2`, `kubeVersion`, icon, home, sources, keywords, maintainers",
        {f"{CHART}/Chart.yaml": "apiVersion: v2", f"{REDIS}/Chart.yaml": "apiVersion: v2"},
        "partly: v1, no icon",
        "yes, but for `kubeVersion`",
        "yes",
    ),
    Row(
        "Schema of the values",
        {f"{CHART}/values.schema.json": "additionalProperties", f"{REDIS}/values.schema.json": "additionalProperties"},
        "no",
        "no",
        "yes, generated, open",
        "closed",
    ),
    Row(
        "Documented values",
        {f"{CHART}/README.md": "## Parameters", f"{TESTS}/test_charts.py": "def test_generated_files_are"},
        "partly: by hand",
        "partly: by hand",
        "yes, generated",
        "generated, compared by a test",
    ),
    Row(
        'Pod Security "restricted" by default',
        {f"{CHART}/values.yaml": "podSecurityContext:", f"{TESTS}/test_charts.py": "def test_every_pod_is_restricted"},
        "no",
        "partly: no seccomp profile",
        "yes",
        "every pod, hooks included",
    ),
    Row(
        "No token of the service account",
        {
            f"{CHART}/templates/deployment.yaml": "automountServiceAccountToken",
            f"{REDIS}/templates/statefulset.yaml": "automount",
        },
        "no",
        "no",
        "yes",
    ),
    Row(
        "Service account: create, name, annotations",
        {f"{CHART}/templates/serviceaccount.yaml": "kind: ServiceAccount"},
        "yes, off",
        "yes",
        "yes",
    ),
    Row(
        "Liveness is not readiness",
        {f"{CHART}/templates/deployment.yaml": "path: /healthz"},
        "yes",
        "no: one path for both",
        "yes",
        "`/healthz` does not depend on Redis",
    ),
    Row("Startup probe", {f"{CHART}/templates/deployment.yaml": "startupProbe"}, "yes, off", "yes, off", "yes", "on"),
    Row(
        "An internal port of its own",
        {
            f"{CHART}/templates/service-internal.yaml": "clusterIP: None",
            f"{TESTS}/test_charts.py": "def test_no_ingress_or_route",
        },
        "yes",
        "yes",
        "yes, of the exporter",
    ),
    Row(
        "Pause before the stop, and a drain",
        {
            f"{CHART}/templates/deployment.yaml": "preStop:",
            f"{CHART}/templates/_helpers.tpl": "clients would be cut off",
        },
        "no",
        "partly: `sleep` in a shell",
        "partly: scripts",
        "no shell needed, times that do not add up are refused",
    ),
    Row(
        "A rollout keeps all replicas",
        {f"{CHART}/values.yaml": "maxUnavailable: 0", f"{CHART}/templates/deployment.yaml": '"Recreate"'},
        "partly: `maxUnavailable: 1`, fixed",
        "yes, free",
        "yes",
    ),
    Row(
        "PodDisruptionBudget that lets nodes be drained",
        {
            f"{CHART}/templates/pdb.yaml": "kind: PodDisruptionBudget",
            f"{CHART}/templates/_helpers.tpl": "minAvailable is %v of",
        },
        "partly: overlooks the autoscaler",
        "partly: blocks one replica's node",
        "yes",
        "one that blocks every drain is refused",
    ),
    Row(
        "Autoscaling on CPU and memory",
        {f"{CHART}/templates/hpa.yaml": "type: Resource"},
        "yes",
        "yes",
        "yes, of its replicas",
    ),
    Row(
        "Autoscaling on connections",
        {
            f"{CHART}/templates/hpa.yaml": "type: Pods",
            f"{CHART}/templates/scaledobject.yaml": "kind: ScaledObject",
            "k8s/autoscaling/prometheus-adapter.yaml": "",
        },
        "partly: requests",
        "yes, custom metrics",
        "n/a",
        "HPA and KEDA, a target above the cap is refused",
    ),
    Row(
        "Scaling down that suits long connections",
        {f"{CHART}/values.yaml": "stabilizationWindowSeconds: 900"},
        "no",
        "partly: free, empty",
        "n/a",
    ),
    Row(
        "`replicas` is left to the autoscaler",
        {
            f"{CHART}/templates/_helpers.tpl": '"join-session.deployedReplicas"',
            "tests/e2e/test_installing.py": "without_a_replica_less",
        },
        "partly: left out, so one replica when it is switched on",
        "partly: the same",
        "partly: the same",
        "the live number, so switching on and off takes none away",
    ),
    Row(
        "Spread over nodes and zones",
        {f"{CHART}/templates/deployment.yaml": "topologySpreadConstraints:"},
        "partly: free list",
        "partly: free list",
        "partly: free list",
        "by default",
    ),
    Row("Ingress", {f"{CHART}/templates/ingress.yaml": "kind: Ingress"}, "yes", "yes", "n/a"),
    Row(
        "Stickiness",
        {
            f"{CHART}/templates/_ingress.tpl": '"join-session.stickyAnnotations"',
            f"{TESTS}/test_sticky_proxies.py": "def test_clients_with",
        },
        "no",
        "no: does without",
        "n/a",
        "presets for four controllers, what contradicts them is refused",
    ),
    Row(
        "Time-outs for long connections, per controller",
        {
            f"{CHART}/templates/_ingress.tpl": '"join-session.timeoutAnnotations"',
        },
        "no",
        "yes, documented",
        "n/a",
        "in the presets; for clouds in docs/operations.md",
    ),
    Row(
        "Gateway API",
        {
            f"{CHART}/templates/httproute.yaml": "kind: HTTPRoute",
            "tests/e2e/test_entrances.py": "def test_an_http_route",
        },
        "yes",
        "yes, with a Gateway",
        "n/a",
    ),
    Row(
        "`appProtocol` of Services",
        {f"{CHART}/templates/service.yaml": "appProtocol", f"{REDIS}/templates/service.yaml": "appProtocol"},
        "no",
        "yes",
        "no",
    ),
    Row(
        "NetworkPolicy",
        {
            f"{CHART}/templates/networkpolicy.yaml": "kind: NetworkPolicy",
            f"{REDIS}/templates/networkpolicy.yaml": "kind: NetworkPolicy",
        },
        "no",
        "no",
        "yes, on",
        "of both; egress knows Redis and the receiver of traces",
    ),
    Row(
        "ServiceMonitor or PodMonitor, with relabelings and limits",
        {f"{CHART}/templates/servicemonitor.yaml": ".limits", f"{CHART}/templates/podmonitor.yaml": ".limits"},
        "partly: neither",
        "partly: no limits",
        "yes",
    ),
    Row(
        "PrometheusRule with alerts",
        {
            f"{CHART}/templates/prometheusrule.yaml": "kind: PrometheusRule",
            f"{CHART}/files/alerts.yaml": "Absent:",
        },
        "no",
        "no",
        "partly: empty",
        "tested by promtool, a runbook for each",
    ),
    Row(
        "Dashboard",
        {
            f"{CHART}/templates/configmap-dashboard.yaml": "files/dashboard.json",
            "tests/harness/dashboard.py": "def panels_without_data",
        },
        "no",
        "no",
        "no",
        "each panel is seen with data",
    ),
    Row(
        "Values for OpenTelemetry",
        {f"{CHART}/templates/deployment.yaml": "OTEL_EXPORTER_OTLP_ENDPOINT"},
        "partly: a comment",
        "no",
        "no",
    ),
    Row(
        "Changed configuration and secrets roll the pods",
        {
            f"{CHART}/templates/deployment.yaml": "checksum/config",
            f"{CHART}/templates/_helpers.tpl": "secret.reloader.stakater.com/reload",
        },
        "partly: its Redis only",
        "partly: configuration",
        "yes, but existing Secrets",
        "checksums; Reloader for existing Secrets",
    ),
    Row(
        "Existing Secrets",
        {
            f"{CHART}/templates/_helpers.tpl": '"join-session.secretFiles"',
            f"{REDIS}/values.yaml": "auth.existingSecret",
        },
        "no",
        "yes",
        "yes",
        "as files",
    ),
    Row(
        "Extra environment, volumes, containers, objects",
        {f"{CHART}/values.yaml": "extraEnv:", f"{CHART}/templates/extra-objects.yaml": "extraObjects"},
        "partly: environment",
        "yes, but objects",
        "yes",
        "templates are rendered",
    ),
    Row(
        "Redis comes along",
        {f"{CHART}/Chart.yaml": "condition: redis.enabled", f"{REDIS}/templates/statefulset.yaml": "kind: StatefulSet"},
        "partly: no password, no volume",
        "no",
        "it is one",
        "with password, volume and policy",
    ),
    Row(
        "External Redis",
        {f"{CHART}/values.yaml": "externalRedis:", f"{CHART}/ci/sentinel.yaml": "redis+sentinel"},
        "partly: an address",
        "yes",
        "n/a",
        "TLS, Sentinel, Cluster, a prefix of one's own",
    ),
    Row(
        "Images by digest",
        {
            f"{CHART}/templates/_helpers.tpl": "@{{ .Values.image.digest }}",
            f"{CHART}/ci/hardened.yaml": "digest: sha256",
        },
        "no",
        "no",
        "yes",
    ),
    Row(
        "`global.imageRegistry`, `global.imagePullSecrets`",
        {
            f"{CHART}/templates/_helpers.tpl": '"join-session.pullSecrets"',
            f"{REDIS}/templates/_helpers.tpl": '"redis.pullSecrets"',
        },
        "no",
        "yes",
        "yes",
        "names, or as in Kubernetes",
    ),
    Row(
        "`helm test`",
        {f"{CHART}/templates/tests/join.yaml": "helm.sh/hook: test", f"{CHART}/files/join.py": "def main"},
        "yes: seven pods with curl",
        "no",
        "no",
        "a real join, also through the ingress, with a check of stickiness",
    ),
    Row(
        "Tests of templates",
        {f"{TESTS}/test_charts.py": "def test_", f"{TESTS}/test_refused_values.py": "WRONG"},
        "no",
        "no",
        "no",
    ),
    Row(
        "Rendered objects against Kubernetes' schemas",
        {f"{TESTS}/test_charts.py": "KUBERNETES = (", f"{TESTS}/resources/extract.py": "def closed"},
        "yes",
        "no",
        "no",
        "the oldest and the newest version, custom resources too",
    ),
    Row(
        "End to end on kind",
        {".github/workflows/ci.yaml": "kindest/node", "tests/e2e/run": "pytest -m"},
        "yes",
        "yes, two versions",
        "partly",
        "two versions, drills under a crowd of clients",
    ),
    Row(
        "Release: architectures, SBOM, provenance, signatures",
        {".github/workflows/release.yaml": "platforms: linux/amd64,linux/arm64", ".ci/chart-sbom": "bill of materials"},
        "yes",
        "partly: unsigned",
        "partly",
    ),
    Row(
        "Actions by SHA, least permissions",
        {".github/workflows/ci.yaml": "contents: read", f"{TESTS}/test_workflows.py": "zizmor"},
        "yes",
        "no",
        "yes",
        "zizmor finds nothing",
    ),
    Row(
        "Updates of dependencies",
        {".github/dependabot.yml": "package-ecosystem: github-actions", ".github/renovate.json": "enabledManagers"},
        "partly: actions",
        "yes",
        "n/a",
    ),
    Row(
        "Notes that help",
        {f"{CHART}/templates/NOTES.txt": "WARNING"},
        "partly: the address",
        "yes",
        "yes",
        "the image that runs, addresses, checks, warnings",
    ),
    Row(
        "Annotations for Artifact Hub, signing key",
        {f"{CHART}/Chart.yaml": "artifacthub.io/links", ".ci/chart-metadata": "artifacthub.io/signKey"},
        "no",
        "no",
        "partly",
        "the key where a release has one",
    ),
    Row(
        "Kustomize",
        {
            "k8s/base/kustomization.yaml": "kind: Component",
            "k8s/overlays/development/kustomization.yaml": "kind: Kustomization",
            "k8s/overlays/staging/kustomization.yaml": "kind: Kustomization",
            "k8s/overlays/production/kustomization.yaml": "kind: Kustomization",
        },
        "yes, three overlays",
        "no",
        "no",
        "rendered from the chart, compared by a test",
    ),
    Row(
        "One command for each task, one for the version",
        {"Makefile": "help:", ".ci/version-set": "VERSION="},
        "yes",
        "no",
        "no",
    ),
]
