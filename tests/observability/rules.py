"""The chart's alerts as a Prometheus without operator reads them, and what its tools say of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.harness.programs import program
from tests.packaging.generate import copy_charts
from tests.packaging.tools import documents, helm, run

__all__ = ["alerts", "measured", "promtool", "write_rules"]

_COMPARISON: Final = re.compile(r"\s(?:>|==) [\d.e+-]+$")
_ABSENT: Final = re.compile(r"^absent\((.*)\)$")


def alerts(folder: Path, **rule: Any) -> list[dict[str, Any]]:
    """The rules that the chart makes; `rule` are values under `prometheusRule`."""
    values = folder / "values.json"
    given = {"enabled": True, "selector": 'job="join-session"', "redisSelector": 'job="redis"', **rule}
    values.write_text(json.dumps({"prometheusRule": given}))
    chart = copy_charts(folder) / "join-session"
    command = (helm(), "template", "join-session", chart, "--show-only", "templates/prometheusrule.yaml")
    defaults = chart / "ci" / "monitoring.yaml"
    (made,) = documents(run(*command, "-f", defaults, "-f", values))
    (group,) = made["spec"]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def write_rules(path: Path, rules: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"groups": [{"name": "join-session", "rules": rules}]}))


def measured(expression: str) -> str:
    """What an alert's expression compares with its threshold: it has data also while all is well."""
    return _ABSENT.sub(r"\1", _COMPARISON.sub("", expression))


def promtool(*arguments: str | Path) -> str:
    return run(program("promtool", "prometheus"), *arguments)
