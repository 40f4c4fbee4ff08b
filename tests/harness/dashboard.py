"""Runs the queries of the chart's dashboard on a Prometheus, as Grafana does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import httpx

__all__ = ["panels_without_data", "queries"]

DASHBOARD: Final = Path(__file__).parents[2] / "charts" / "join-session" / "files" / "dashboard.json"


def queries(window: str) -> list[tuple[str, str]]:
    """Yield the title and query of each panel, for all jobs and replicas, with rates over `window` (as `30s`)."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    fill = {"$__rate_interval": window, "$job": ".*", "$instance": ".*", "$redis": ".*"}
    found = []
    for panel in panels:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in fill.items():
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    return found


def panels_without_data(url: str, window: str, *, has_exporter: bool) -> list[str]:
    """Return the queries that the Prometheus at `url` refuses or has no data for, with their titles.

    `has_exporter`: it scrapes an exporter of Redis.
    """
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        missing = []
        for title, expression in queries(window):
            if not has_exporter and expression.startswith("redis_"):
                continue
            answer = client.get("/api/v1/query", params={"query": expression})
            if answer.status_code != 200 or not answer.json()["data"]["result"]:
                missing.append(f"{title}: {expression}")
        return missing
