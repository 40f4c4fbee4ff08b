"""Alerts by themselves: each fires on the numbers it is for, and not on those beside, and has its runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.observability.documented_metrics import documented
from tests.observability.rules import alerts, measured, promtool, write_rules
from tests.packaging.tools import ROOT, documents

pytestmark = pytest.mark.timeout(300)

CASES: Final = Path(__file__).parent / "alerts.test.yaml"
RUNBOOKS: Final = (ROOT / "docs" / "alerts.md").read_text()
DASHBOARD: Final = ROOT / "charts" / "join-session" / "files" / "dashboard.json"
# A release has the address of its repository in it.
PLACE: Final = "https://join-session.example/blob/HEAD/docs/alerts.md"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return alerts(tmp_path_factory.mktemp("rules"))


def test_each_alert_fires_when_it_should_and_only_then(rules: list[dict[str, Any]], tmp_path: Path) -> None:
    write_rules(tmp_path / "rules.json", rules)
    promtool("check", "rules", tmp_path / "rules.json")
    (cases,) = documents(CASES.read_text())
    (tmp_path / "cases.json").write_text(json.dumps(cases | {"rule_files": ["rules.json"]}))
    promtool("test", "rules", tmp_path / "cases.json")
    checks = [check for case in cases["tests"] for check in case["alert_rule_test"]]
    fires = {check["alertname"] for check in checks if check.get("exp_alerts")}
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fires == silent == {rule["alert"] for rule in rules}


def test_each_alert_has_a_severity_a_summary_and_a_full_link_to_its_runbook(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"{PLACE}#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_runbook_says_what_happens_what_to_look_at_what_to_do_and_when_it_is_over(
    rules: list[dict[str, Any]],
) -> None:
    sections = re.findall(r"^## (JoinSession\w+)\n\n(.+?)(?=\n## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _ in sections) == sorted(rule["alert"] for rule in rules)
    for name, text in sections:
        assert re.findall(r"^\*\*(.+?):\*\*", text, re.MULTILINE) == ["Means", "Users", "Look", "Do", "Over when"], name


def test_each_runbook_shows_its_rule(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        severity, duration = rule["labels"]["severity"], rule["for"]
        said = rf"Severity \*\*{severity}\*\*, (?:threshold (\S+), )?for {duration}\.\n\n"
        shown = rf"{said}```promql\n(.+)\n```\n\n\*\*Means"
        section = RUNBOOKS.partition(f"\n## {rule['alert']}\n\n")[2]
        found = re.match(shown, section)
        assert found is not None, rule["alert"]
        assert found[2] == rule["expr"]
        assert found[1] is None or found[2].endswith(f" > {found[1]}")


def test_runbooks_name_what_there_is() -> None:
    shown = (ROOT / "k8s" / "base" / "join-session.yaml").read_text()
    objects = {(item["kind"].lower(), item["metadata"]["name"]) for item in documents(shown)}
    named = re.findall(r"\b(deployment|statefulset)/([\w-]+)", RUNBOOKS)
    assert named
    assert set(named) <= objects
    assert ("statefulset", "join-session-redis") in objects
    assert set(re.findall(r"join-session-redis-\w+", RUNBOOKS)) == {"join-session-redis-0"}
    panels = set(re.findall(r'"title": "(.+?)"', DASHBOARD.read_text()))
    italics = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", RUNBOOKS))
    assert italics - {"Targets"} <= panels
    metrics = {re.sub(r"_(bucket|total)$", "", name) for name in documented()}
    used = set(re.findall(r"\bjoin_session_\w+", RUNBOOKS))
    assert {re.sub(r"_(bucket|total)$", "", name) for name in used} <= metrics


def test_every_alert_compares_something_with_a_threshold(rules: list[dict[str, Any]]) -> None:
    assert [rule["alert"] for rule in rules if measured(rule["expr"]) == rule["expr"]] == []


def test_values_change_alerts_leave_them_out_and_add_others(tmp_path: Path) -> None:
    more = {"alert": "More", "expr": "vector(1) > 0"}
    given = {
        "Absent": None,
        "DrainStuck": {"for": "1s", "severity": "page", "threshold": 7},
        "SlowJoins": {"threshold": 0.125},
    }
    changed = {rule["alert"]: rule for rule in alerts(tmp_path, window="20s", alerts=given, extraRules=[more])}
    assert "JoinSessionAbsent" not in changed
    assert changed["More"] == more
    stuck = changed["JoinSessionDrainStuck"]
    assert (stuck["for"], stuck["labels"]["severity"]) == ("1s", "page")
    assert stuck["expr"].endswith("> 7")
    assert changed["JoinSessionSlowJoins"]["for"] == "10m"
    assert changed["JoinSessionSlowJoins"]["expr"].endswith("> 0.125")
    assert "[20s]" in changed["JoinSessionSlowJoins"]["expr"]
