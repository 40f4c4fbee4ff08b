"""The documents at the root, and the records of decisions: they hold together and show what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from bench.scenarios import SCENARIOS
from tests.documents.test_documentation import anchors
from tests.packaging.tools import ROOT, run, tool

DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("*.md"))
RECORDS: Final = [path for path in DECISIONS if path.stem != "README"]
PAGES: Final = [
    *(ROOT / name for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "README.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
    *DECISIONS,
]
FORMS: Final = ROOT / ".github" / "ISSUE_TEMPLATE"
MAX_LINES: Final = 60


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?s)```.*?```", "", page.read_text()))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_budgets_of_the_threat_model_are_those_of_the_limits() -> None:
    limits = {tuple(cells(row)[:3]) for row in rows((ROOT / "docs" / "limits.md").read_text())}
    table = (ROOT / "SECURITY.md").read_text().partition("| What | Bound | Per |\n|---|---|---|\n")[2]
    budgets = [tuple(cells(row)) for row in rows(table)]
    assert len(budgets) > 10
    assert [budget for budget in budgets if budget not in limits] == []


def test_each_of_five_decisions_is_a_page_with_its_measurement_and_its_price() -> None:
    assert len(RECORDS) == 5
    listed = re.findall(r"\]\((\w[\w-]*\.md)\)", (ROOT / "docs" / "decisions" / "README.md").read_text())
    assert sorted(listed) == [path.name for path in RECORDS]
    for record in RECORDS:
        text = record.read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Problem", "Decision", "Measurement", "Price"], record
        assert len(text.splitlines()) <= MAX_LINES, record


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_the_commands_that_measure_are_there(record: Path) -> None:
    block = re.findall(r"^```sh\n(.*?)^```$", record.read_text(), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line, comments=True) for text in block for line in text.splitlines()]
    assert commands
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for program, *words in commands:
        match program, words:
            case "make", ["bench", arguments]:
                assert set(arguments.removeprefix("ARGS=").split()) <= SCENARIOS.keys()
            case "make", [target]:
                assert target in targets
            case "python", ["-m", module, *_]:
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
            case (("python" | ".venv/bin/pytest"), [path]):
                assert (ROOT / path).exists()
            case _:
                assert program == "join-session"


def test_forms_of_issues_are_as_their_schema_says() -> None:
    forms = [path for path in FORMS.glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 2
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-issue-forms", *forms)
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-issue-config", FORMS / "config.yml")


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split(" | ")]
