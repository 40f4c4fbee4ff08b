"""What is made of something else: parameter tables and the schema of settings in the charts, plain manifests,
rules and dashboard of the example of monitoring, the rule of each runbook, the lines in docs/chart-comparison.md.

`python -m tests.packaging.generate` writes them; a test compares.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import textwrap
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Final

from app.settings import SECRETS, Settings
from tests.packaging.comparison import comparison
from tests.packaging.tools import ROOT, documents, helm, readme_generator, run

__all__ = ["copy_charts", "generated"]

CHARTS: Final = ROOT / "charts"
BASE: Final = ROOT / "k8s" / "base"
MONITORING: Final = ROOT / "k8s" / "monitoring"
RUNBOOKS: Final = ROOT / "docs" / "alerts.md"

# What the chart sets itself.
_OWN: Final = {
    "host", "port", "internal_host", "internal_port", "replica_address", "replicas_name", "affinity_cookie",
    "affinity_bucket_cookie", "affinity_bucket_secure", "affinity_bucket_same_site",
    "drain_timeout", "key_prefix",
    *SECRETS, *(f"{name}_file" for name in SECRETS),
}  # fmt: skip
_MAX_SHOWN_LENGTH: Final = 300
_KEPT: Final = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "minLength")


def generated() -> dict[Path, str]:
    """The content of every generated file."""
    with tempfile.TemporaryDirectory() as folder:
        charts = copy_charts(Path(folder))
        schema = _schema()
        (charts / "join-session" / "values.schema.json").write_text(schema)
        return {
            CHARTS / "join-session" / "values.schema.json": schema,
            **{CHARTS / name / "README.md": _readme(charts / name) for name in ("join-session", "redis")},
            BASE / "join-session.yaml": _manifests(charts / "join-session"),
            MONITORING / "rules.yml": _rules(charts / "join-session"),
            RUNBOOKS: _runbooks(charts / "join-session"),
            ROOT / "docs" / "chart-comparison.md": comparison(ROOT),
            MONITORING / "dashboard.json": (charts / "join-session" / "files" / "dashboard.json").read_text(),
        }


def copy_charts(folder: Path, program: Path | None = None) -> Path:
    """Copies the charts and puts the subchart into its place there; returns the folder that holds them."""
    charts = folder / "charts"
    shutil.copytree(CHARTS, charts, ignore=shutil.ignore_patterns("*.tgz"))
    run(program or helm(), "dependency", "build", charts / "join-session")
    return charts


def _schema() -> str:
    path = CHARTS / "join-session" / "values.schema.json"
    schema = json.loads(path.read_text())
    fields = Settings.model_json_schema()["properties"]
    schema["properties"]["config"]["properties"] = {
        _camel_case(name): _property(field) for name, field in fields.items() if name not in _OWN
    }
    return json.dumps(schema, indent=2) + "\n"


def _camel_case(name: str) -> str:
    return re.sub("_(.)", lambda match: match[1].upper(), name)


def _property(field: Mapping[str, Any]) -> dict[str, Any]:
    """Of a setting what Helm can check; the service checks the rest when it starts."""
    kind = next((kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"), field)
    described = {"description": field["description"]}
    if kind["type"] == "array":
        return {"type": "array", "items": {"type": "string", "minLength": 1}, **described}
    if kind["type"] == "object":
        return {"type": "object", "additionalProperties": {"type": "string"}, **described}
    return {key: kind[key] for key in _KEPT if key in kind} | described


def _readme(chart: Path) -> str:
    values = chart / "values.yaml"
    readme_generator("--values", values, "--readme", chart / "README.md")
    text = (chart / "README.md").read_text()
    (defaults,) = documents(values.read_text())
    # The generator shows no content of objects and lists.
    for name in re.findall(r"^## @param (\S+) \[(?:object|array)\]", values.read_text(), re.MULTILINE):
        default = reduce(lambda found, key: found[key], name.split("."), defaults)
        if default:
            shown = f"`{written}`" if len(written := json.dumps(default)) <= _MAX_SHOWN_LENGTH else "see values.yaml"
            text = re.sub(rf"(?m)^(\| `{re.escape(name)}` .* )`(?:{{}}|\[\])` +\|$", rf"\1{shown} |", text)
    return text


def _manifests(chart: Path) -> str:
    """The chart's objects as a kustomize base, without what only means something to Helm."""
    values = BASE / "values.yaml"
    text = run(helm(), "template", "join-session", chart, "--namespace", "join-session", "--no-hooks", "-f", values)
    text = re.sub(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^---\n# Source: [^\n]*\n", "---\n", text, flags=re.MULTILINE)
    return "# Made of charts/join-session by `python -m tests.packaging.generate`.\n" + text


def _rules(chart: Path, *more: str) -> str:
    """The chart's alerts as a file of rules for a Prometheus without operator."""
    options: tuple[str | Path, ...] = (
        "--show-only",
        "templates/prometheusrule.yaml",
        "-f",
        MONITORING / "values.yaml",
        *more,
    )
    spec = run(helm(), "template", "join-session", chart, *options).partition("\nspec:\n")[2]
    return (
        "# Made of charts/join-session by `python -m tests.packaging.generate`.\n"
        + textwrap.dedent(spec).rstrip()
        + "\n"
    )


def _runbooks(chart: Path) -> str:
    """The runbooks; each starts with its alert's severity, threshold, duration and expression."""
    text = RUNBOOKS.read_text()
    (rules,) = documents(_rules(chart, "--set", 'prometheusRule.redisSelector=job="redis"'))
    for rule in rules["groups"][0]["rules"]:
        compared = re.search(r" > ([\d.]+)$", rule["expr"])
        threshold = f"threshold {compared[1]}, " if compared else ""
        shown = f"Severity **{rule['labels']['severity']}**, {threshold}for {rule['for']}."
        before, heading, section = text.partition(f"\n## {rule['alert']}\n\n")
        text = f"{before}{heading}{shown}\n\n```promql\n{rule['expr']}\n```\n\n{section[section.index('**Means:') :]}"
    return text


def main() -> None:
    for path, text in generated().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
