"""The scripts in the release workflow, run as a runner does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from app import __version__
from tests.packaging.generate import CHARTS
from tests.packaging.test_version import PLACES
from tests.packaging.tools import ROOT, documents, helm, run

pytestmark = pytest.mark.timeout(300)

DIGEST: Final = f"sha256:{'5' * 64}"


def script(job: str, step: str) -> str:
    """The script of a step, by its name or id."""
    (workflow,) = documents((ROOT / ".github" / "workflows" / "release.yaml").read_text())
    (found,) = [each for each in workflow["jobs"][job]["steps"] if step in (each.get("name"), each.get("id"))]
    return str(found["run"])


def release(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{helm().parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "REGISTRY": "ghcr.io", **environment}
    return subprocess.run(
        ["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the charts and the files that have the version."""
    folder = tmp_path / "clone"
    shutil.copytree(CHARTS, folder / "charts", ignore=shutil.ignore_patterns("*.tgz"))
    for name in (*PLACES, ".ci/version-set", ".ci/chart-metadata", ".ci/chart-sbom"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        run("git", *author, *words, cwd=folder)
    return folder


def names(folder: Path, tag: str) -> subprocess.CompletedProcess[str]:
    repository = {"GITHUB_REPOSITORY": "Acme/Join-Session", "GITHUB_REPOSITORY_OWNER": "Acme"}
    return release(
        script("names", "names"), folder, GITHUB_REF_NAME=tag, GITHUB_OUTPUT=str(folder / "output"), **repository
    )


def test_names_are_in_lower_case(clone: Path) -> None:
    done = names(clone, f"v{__version__}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / "output").read_text().splitlines() == [
        f"version={__version__}",
        "image=ghcr.io/acme/join-session",
        "charts=ghcr.io/acme/charts",
    ]


@pytest.mark.parametrize("tag", ["v99.0.0", "latest"])
def test_a_tag_that_is_not_the_version_is_refused(clone: Path, tag: str) -> None:
    assert names(clone, tag).returncode != 0
    assert not (clone / "output").exists()


def test_the_chart_names_the_image_and_has_a_bill_of_materials(clone: Path) -> None:
    image = "ghcr.io/acme/join-session"
    place = {"GITHUB_SERVER_URL": "https://github.test", "GITHUB_REPOSITORY": "Acme/Join-Session"}
    done = release(
        script("chart", "Package"),
        clone,
        IMAGE=image,
        VERSION=__version__,
        DIGEST=DIGEST,
        CHART_SIGNING_KEY="",
        **place,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    package = clone / "dist" / f"join-session-{__version__}.tgz"
    (chart,) = documents(run(helm(), "show", "chart", package))
    assert chart["home"] == "https://github.test/Acme/Join-Session"
    options = ("--set", "redis.auth.existingSecret=redis", "--show-only", "templates/deployment.yaml")
    (deployment,) = documents(run(helm(), "template", "join-session", package, *options))
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"{image}@{DIGEST}"
    bill = json.loads((clone / "dist" / "chart.cdx.json").read_text())
    assert bill["metadata"]["component"]["name"] == "join-session"
    assert [(component["type"], component["name"], component["version"]) for component in bill["components"]] == [
        ("application", "redis", __version__),
        ("container", image, f"{__version__}@{DIGEST}"),
        ("container", "docker.io/valkey/valkey", "8.1"),
    ]
