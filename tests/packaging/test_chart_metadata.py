"""What a release adds to the charts: where the project lives, and a signature that can be verified."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.programs import program
from tests.packaging.generate import copy_charts
from tests.packaging.tools import HELMS, ROOT, documents, helm, run

pytestmark = pytest.mark.timeout(120)

URL = "https://git.test/movies/join-session"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the charts and the script."""
    copy_charts(tmp_path)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "chart-metadata", tmp_path / ".ci")
    return tmp_path


def released(project: Path, **environment: str) -> list[str]:
    """Runs the script; what `helm package` is given."""
    command = (project / ".ci" / "chart-metadata", URL)
    return subprocess.check_output(command, env={**os.environ, **environment}, text=True).split()


def test_charts_name_home_sources_maintainers_and_an_icon() -> None:
    for name in ("join-session", "redis"):
        (chart,) = documents((ROOT / "charts" / name / "Chart.yaml").read_text())
        assert {"home", "sources", "maintainers", "icon", "keywords", "kubeVersion"} <= chart.keys()
        assert (ROOT / chart["icon"].partition("/HEAD/")[2]).is_file()


def test_a_release_says_where_the_project_lives(project: Path) -> None:
    assert released(project) == []
    for name in ("join-session", "redis"):
        text = (project / "charts" / name / "Chart.yaml").read_text()
        (chart,) = documents(text)
        assert chart["home"] == chart["sources"][0] == URL
        assert ".example" not in text
    options = ("--show-only", "templates/prometheusrule.yaml", "-f", project / "charts/join-session/ci/monitoring.yaml")
    (rules,) = documents(run(helm(), "template", "join-session", project / "charts" / "join-session", *options))
    assert rules["spec"]["groups"][0]["rules"][0]["annotations"]["runbook_url"].startswith(
        f"{URL}/blob/HEAD/docs/alerts.md#"
    )


@pytest.mark.parametrize("name", HELMS)
def test_a_release_with_a_key_is_signed_and_says_by_whom(project: Path, name: str) -> None:
    gpg = (program("gpg", "gnupg"), "--homedir", project / "home", "--batch", "--quiet", "--pinentry-mode", "loopback")
    (project / "home").mkdir(mode=0o700)
    run(*gpg, "--passphrase", "", "--quick-generate-key", "Movies <release@movies.test>", "rsa2048", "sign", "1d")
    key = run(*gpg, "--armor", "--export-secret-keys")
    options = released(project, CHART_SIGNING_KEY=key)
    run(helm(name), "package", "charts/join-session", "--destination", "dist", *options, cwd=project)
    (chart,) = documents((project / "charts" / "join-session" / "Chart.yaml").read_text())
    (signed,) = documents(chart["annotations"]["artifacthub.io/signKey"])
    assert signed["fingerprint"] in run(*gpg, "--list-keys", "--with-colons")
    assert signed["url"] == f"{URL}/releases/download/v{chart['version']}/signing-key.asc"
    run(*gpg, "--dearmor", "--output", project / "ring.gpg", project / "dist" / "signing-key.asc")
    [package] = (project / "dist").glob("*.tgz")
    run(helm(name), "verify", package, "--keyring", project / "ring.gpg")
