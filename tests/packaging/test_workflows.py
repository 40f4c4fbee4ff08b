"""The workflows: by their linters, and their shell steps, each of which is run here or in one of the tests named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.programs import program
from tests.packaging.tools import ROOT, run, tool
from tests.packaging.workflow_steps import WORKFLOWS, run_step, steps

pytestmark = pytest.mark.timeout(300)

GITHUB = ROOT / ".github"


def test_actionlint_has_nothing_to_say() -> None:
    run(tool("actionlint"), "-shellcheck", tool("shellcheck"), *WORKFLOWS)


def test_shellcheck_has_nothing_to_say_of_the_scripts_that_workflows_run() -> None:
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.read_text().startswith("#!/usr/bin/env bash")]
    assert len(scripts) > 3
    run(tool("shellcheck"), *scripts)


def test_zizmor_has_nothing_to_say() -> None:
    run(tool("zizmor"), "--offline", "--no-progress", "--persona=auditor", GITHUB)


def test_each_exception_for_zizmor_has_a_reason() -> None:
    exceptions = re.findall(r"zizmor: ignore.*", "".join(path.read_text() for path in WORKFLOWS))
    assert [line for line in exceptions if not re.fullmatch(r"zizmor: ignore\[[\w-]+\] \w.+", line)] == []


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


def test_each_shell_step_is_run_by_a_test() -> None:
    tests = "".join(
        (Path(__file__).parent / f"test_{name}.py").read_text() for name in ("workflows", "release", "distribution")
    )
    assert [name for name in steps() if f'"{name}"' not in tests] == []


def test_ci_runs_what_test_ci_is_about() -> None:
    assert steps()["ci/test/.ci/run"] == ".ci/run"


@pytest.mark.parametrize(
    "step",
    [
        "ci/quick/make quick",
        "ci/image/make image",
        "ci/cluster/make cluster",
        "drills/drills/make drills",
        "drills/clients/make clients",
    ],
)
def test_make_knows_what_workflows_want_of_it(folder: Path, step: str) -> None:
    """They are suites of tests, which make names here and runs elsewhere."""
    done = run_step(step, folder, {"make": f'{program("make")} --dry-run --directory={ROOT} "$@"'})
    assert (done.code, "pytest" in done.said or "tests/e2e/run" in done.said) == (0, True), done.said


def test_the_image_that_is_scanned_is_built_on_the_newest_base(folder: Path) -> None:
    done = run_step("scan/image/docker build --pull --tag join-session:scan .", folder, {"docker": ""})
    assert done.calls == ["docker build --pull --tag join-session:scan ."]


def test_skaffold_is_installed_if_its_sum_is_right_and_finds_helm_3(folder: Path) -> None:
    curl = """printf '#!/bin/sh\\ntype helm\\n' >skaffold
printf '#!/bin/sh\\n' >skaffold.changed
for name in skaffold skaffold.changed; do sha256sum $name | sed s/.changed// >$name.sha256; done
[[ ! -e changed ]] || mv skaffold.changed.sha256 skaffold.sha256"""
    # Writes beside, instead of into /usr/local/bin.
    sudo = "if [[ $1 == tee ]]; then cat >installed; else chmod +x installed; fi"
    helm = folder / "helm3" / "helm"
    helm.parent.mkdir()
    helm.write_text("")
    helm.chmod(0o755)
    name = "ci/cluster/Install skaffold, which wants Helm 3"
    given = {"RELEASE": "https://github.test", "PROGRAM": "skaffold", "HELM3": str(helm)}
    assert run_step(name, folder, {"curl": curl, "sudo": sudo}, **given).code == 0
    assert run(folder / "installed") == f"helm is {helm}\n"
    (folder / "changed").touch()
    assert run_step(name, folder, {"curl": curl, "sudo": sudo}, **given).code == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clone").mkdir()
    return tmp_path / "clone"
