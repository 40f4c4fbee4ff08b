"""How many replicas autoscalers ask for, reckoned as they do from metrics as Prometheus keeps them.

The queries are those of the chart, of k8s/autoscaling and what a HorizontalPodAutoscaler makes of their answers:
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.observability.rules import promtool
from tests.packaging.conftest import NAMESPACE, Charts, Rendering
from tests.packaging.tools import ROOT, documents

pytestmark = pytest.mark.timeout(120)

# Within which a HorizontalPodAutoscaler takes a metric for its target.
TOLERANCE = 0.1
PODS = [f"join-session-7d9c5f6b8-{end}" for end in ("2xk4p", "9wq7z", "b6t5m", "m8hvc", "zz4rd")]
# Of another release in the same namespace, and of the same release in another one.
STRANGERS = [(NAMESPACE, "other-join-session-7d9c5f6b8-2xk4p"), ("elsewhere", PODS[0])]


def recorded(connections: list[int], monitor: str) -> list[dict[str, Any]]:
    """The series as the ServiceMonitor or the PodMonitor of the chart labels them."""
    counts = [(NAMESPACE, pod, count) for pod, count in zip(PODS, connections, strict=False)]
    found = []
    for namespace, pod, count in [*counts, *((*stranger, 9999) for stranger in STRANGERS)]:
        service = pod.partition("-7d9c5f6b8")[0]
        job = f'job="{service}-internal",service="{service}-internal"'
        labels = job if monitor == "ServiceMonitor" else f'job="{namespace}/{service}"'
        for transport, share in {"polling": count // 10, "websocket": count - count // 10}.items():
            own = f'namespace="{namespace}",pod="{pod}",container="join-session",transport="{transport}"'
            found.append({"series": f"join_session_connections{{{own},{labels}}}", "values": f"{share}x5"})
    return found


def hpa(replicas: int, average: float, scaler: dict[str, Any], target: float) -> int:
    ratio = average / target
    wanted = replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(replicas * ratio)
    least, most = (scaler.get(f"{end}Replicas") or scaler[f"{end}ReplicaCount"] for end in ("min", "max"))
    return int(min(max(wanted, least), most))


def prove(folder: Path, series: list[dict[str, Any]], query: str, samples: dict[str, float]) -> None:
    """Prometheus answers `query` with these samples, by their labels."""
    expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
    test = {
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [{"expr": query, "eval_time": "1m", "exp_samples": expected}],
    }
    path = folder / "autoscaling.json"
    path.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}))
    promtool("test", "rules", path)


@pytest.mark.parametrize("monitor", ["ServiceMonitor", "PodMonitor"])
@pytest.mark.parametrize(
    ("connections", "wanted"),
    [
        ([0, 0, 0], 3),
        ([1400, 1500, 1600], 3),
        # All is well within a tenth, also where one replica has more than its share.
        ([900, 1500, 2400], 3),
        ([1600, 1700, 1800], 4),
        ([3000, 3000, 3000], 6),
        ([1000, 1000, 1000, 1000, 0], 3),
        ([14500] * 5, 12),
    ],
)
def test_autoscalers_ask_for_as_many_replicas_as_the_connections_need(
    charts: Charts, renderings: dict[str, Rendering], tmp_path: Path, monitor: str, connections: list[int], wanted: int
) -> None:
    series, replicas, total = recorded(connections, monitor), len(connections), sum(connections)
    # By the metrics adapter.
    scaler = renderings["ha"]["HorizontalPodAutoscaler/join-session"]["spec"]
    metric = scaler["metrics"][0]["pods"]
    [(rule,)] = [
        item["rules"]["custom"]
        for item in documents((ROOT / "k8s" / "autoscaling" / "prometheus-adapter.yaml").read_text())
    ]
    assert metric["metric"]["name"] == rule["name"]["as"]
    pods = PODS[:replicas]
    query = (
        rule["metricsQuery"]
        .replace("<<.Series>>", rule["seriesQuery"].partition("{")[0])
        .replace("<<.LabelMatchers>>", f'namespace="{NAMESPACE}",pod=~"{"|".join(pods)}"')
        .replace("<<.GroupBy>>", "pod")
    )
    prove(tmp_path, series, query, {f'{{pod="{pod}"}}': count for pod, count in zip(pods, connections, strict=True)})
    target = float(metric["target"]["averageValue"])
    assert hpa(replicas, total / replicas, scaler, target) == wanted

    # By KEDA, which hands the sum to an autoscaler of its own.
    keda = {"enabled": True, "minReplicas": 3, "maxReplicas": 12, "connections": int(target)}
    scaled = charts.render("keda", {"keda": keda}, "monitoring")["ScaledObject/join-session"]["spec"]
    trigger = scaled["triggers"][0]["metadata"]
    prove(tmp_path, series, trigger["query"], {"{}": total})
    assert hpa(replicas, total / replicas, scaled, float(trigger["threshold"])) == wanted
