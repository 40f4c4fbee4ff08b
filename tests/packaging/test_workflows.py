"""The workflows, by their linters."""

from __future__ import annotations

import re

import pytest

from tests.packaging.tools import ROOT, run, tool

pytestmark = pytest.mark.timeout(300)

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))


def test_actionlint_has_nothing_to_say() -> None:
    run(tool("actionlint"), "-shellcheck", tool("shellcheck"), *WORKFLOWS)


def test_zizmor_has_nothing_to_say() -> None:
    run(tool("zizmor"), "--offline", "--no-progress", GITHUB)


def test_workflows_and_dependabot_are_as_their_schemas_say() -> None:
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    run(tool("check-jsonschema"), "--builtin-schema", "custom.github-workflows-require-timeout", *WORKFLOWS)
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml")


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    used = [line.strip() for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert len(used) > 20
    for line in used:
        if line == "uses: $/.github/workflows/ci.yaml":
            continue
        assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_each_workflow_may_only_read_unless_a_job_says_more() -> None:
    for path in WORKFLOWS:
        assert "\npermissions:\n  contents: read\n" in path.read_text()
