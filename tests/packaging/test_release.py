"""The shell steps of the release workflow, run as a runner does: one version of everything, and again without harm."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Final

import pytest

from app import __version__
from tests.packaging.generate import CHARTS
from tests.packaging.test_version import LOCKS, PLACES
from tests.packaging.tools import ROOT, documents, helm, run
from tests.packaging.workflow_steps import Done, run_step

pytestmark = pytest.mark.timeout(300)

DIGEST: Final = f"sha256:{'5' * 64}"
IMAGE: Final = "ghcr.io/acme/join-session"
SCRIPTS: Final = ("chart-metadata", "chart-sbom", "publish-npm", "release-notes", "version-set")
# Plays `gh`: the release is there if there is a file `released`.
GH: Final = """case $2 in
    view) [[ -e released ]] ;;
    download) mkdir -p dist; touch "dist/$5" ;;
esac"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the charts and the files that have the version."""
    folder = tmp_path / "clone"
    shutil.copytree(CHARTS, folder / "charts", ignore=shutil.ignore_patterns("*.tgz"))
    for name in (*PLACES, *LOCKS, "CHANGELOG.md", "Dockerfile", *(f".ci/{script}" for script in SCRIPTS)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    run(folder / ".ci" / "version-set", __version__)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        run("git", *author, *words, cwd=folder)
    return folder


def names(folder: Path, tag: str) -> Done:
    return run_step(
        "release/names/names",
        folder,
        GITHUB_REF_NAME=tag,
        GITHUB_REPOSITORY="Acme/Join-Session",
        GITHUB_REPOSITORY_OWNER="Acme",
        GITHUB_OUTPUT=str(folder / "output"),
    )


def test_names_are_in_lower_case(clone: Path) -> None:
    done = names(clone, f"v{__version__}")
    assert done.code == 0, done.said
    assert (clone / "output").read_text().splitlines() == [
        f"version={__version__}",
        f"image={IMAGE}",
        "charts=ghcr.io/acme/charts",
    ]


@pytest.mark.parametrize("tag", ["v99.0.0", "latest"])
def test_a_tag_that_is_not_the_version_is_refused(clone: Path, tag: str) -> None:
    assert names(clone, tag).code != 0
    assert not (clone / "output").exists()


def test_a_version_without_a_section_of_the_changelog_is_refused(clone: Path) -> None:
    shutil.copy(ROOT / "CHANGELOG.md", clone)
    done = names(clone, f"v{__version__}")
    assert (done.code, "CHANGELOG.md has no section" in done.said) == (1, True)


def test_everything_is_published_after_the_tests_of_that_commit() -> None:
    (workflow,) = documents((ROOT / ".github" / "workflows" / "release.yaml").read_text())
    jobs = workflow["jobs"]
    assert jobs["tests"]["uses"].endswith("/ci.yaml")

    def needed(job: str) -> set[str]:
        needs = jobs[job].get("needs", [])
        return set(needs).union(*map(needed, needs))

    assert [job for job in jobs if "tests" not in needed(job)] == ["tests", "names"]


def test_the_image_is_built_on_what_its_base_is_now(clone: Path) -> None:
    docker = f"""echo '{{"digest": "{DIGEST}", "manifests": []}}'"""
    done = run_step("release/image/base", clone, {"docker": docker}, GITHUB_OUTPUT=str(clone / "output"))
    assert done.code == 0, done.said
    assert (clone / "output").read_text().splitlines() == [
        "name=python:3.13-slim",
        f"digest={DIGEST}",
        f"time={run('git', 'log', '-1', '--format=%ct', cwd=clone).strip()}",
    ]


def test_the_image_is_signed_by_its_digest(clone: Path) -> None:
    assert run_step("release/image/Sign", clone, {"cosign": ""}, IMAGE=IMAGE, DIGEST=DIGEST).calls == [
        f"cosign sign --yes {IMAGE}@{DIGEST}"
    ]


def test_the_chart_names_the_image_and_has_a_bill_of_materials(clone: Path) -> None:
    done = run_step(
        "release/chart/Package",
        clone,
        IMAGE=IMAGE,
        VERSION=__version__,
        DIGEST=DIGEST,
        CHART_SIGNING_KEY="",
        GITHUB_SERVER_URL="https://github.test",
        GITHUB_REPOSITORY="Acme/Join-Session",
        PATH=f"{helm().parent}:{os.environ['PATH']}",
    )
    assert done.code == 0, done.said
    package = clone / "dist" / f"join-session-{__version__}.tgz"
    (chart,) = documents(run(helm(), "show", "chart", package))
    assert chart["home"] == "https://github.test/Acme/Join-Session"
    options = ("--set", "redis.auth.existingSecret=redis", "--show-only", "templates/deployment.yaml")
    (deployment,) = documents(run(helm(), "template", "join-session", package, *options))
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"{IMAGE}@{DIGEST}"
    bill = json.loads((clone / "dist" / "chart.cdx.json").read_text())
    assert bill["metadata"]["component"]["name"] == "join-session"
    assert [(component["type"], component["name"], component["version"]) for component in bill["components"]] == [
        ("application", "redis", __version__),
        ("container", IMAGE, f"{__version__}@{DIGEST}"),
        ("container", "docker.io/valkey/valkey", "8.1"),
    ]


def test_the_chart_is_pushed_and_signed_by_its_digest(clone: Path) -> None:
    (clone / "dist").mkdir()
    (clone / "dist" / "join-session-1.0.0.tgz").touch()
    helm = f'echo "Pushed: ghcr.io/acme/charts/join-session:1.0.0"; echo "Digest: {DIGEST}"'
    output = clone / "output"
    done = run_step(
        "release/chart/Push and sign",
        clone,
        {"helm": helm, "cosign": ""},
        CHARTS="ghcr.io/acme/charts",
        GITHUB_OUTPUT=str(output),
    )
    assert done.calls == [
        "helm push dist/join-session-1.0.0.tgz oci://ghcr.io/acme/charts",
        f"cosign sign --yes ghcr.io/acme/charts/join-session@{DIGEST}",
    ]
    assert output.read_text() == f"digest={DIGEST}\n"


@pytest.mark.parametrize(
    ("version", "released", "verb", "prerelease"),
    [
        (__version__, False, "create", "false"),
        (__version__, True, "edit", "false"),
        ("1.0.0-rc.1", False, "create", "true"),
    ],
)
def test_a_release_has_the_text_of_the_changelog_and_all_files_also_when_run_again(
    clone: Path, version: str, released: bool, verb: str, prerelease: str
) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(f"## {__version__} - ", f"## {version} - "))
    if released:
        (clone / "released").touch()
    environment = {"TAG": f"v{version}", "VERSION": version, "GITHUB_RUN_ID": "7", "GH_TOKEN": ""}
    done = run_step("release/release/Release", clone, {"gh": GH}, **environment)
    assert done.code == 0, done.said
    assert done.calls == [
        "gh run download 7 --name chart --dir dist",
        "gh run download 7 --name packages --dir dist",
        f"gh release view v{version}",
        f"gh release {verb} v{version} --verify-tag --title {version} --notes-file notes.md --prerelease={prerelease}",
        f"gh release upload v{version} dist/chart dist/packages --clobber",
    ]
    assert (clone / "notes.md").read_text().startswith("### Added\n")
    assert "\n## " not in (clone / "notes.md").read_text()


def test_what_was_built_is_what_is_published(clone: Path) -> None:
    done = run_step("release/publish/Get", clone, {"gh": GH}, GITHUB_RUN_ID="7")
    assert done.calls == ["gh run download 7 --name packages --dir dist"]


def test_the_wheel_is_published_unless_it_is_there_already(clone: Path) -> None:
    (clone / "dist").mkdir()
    for name in ("a.whl", "a.tar.gz", "a.tgz"):
        (clone / "dist" / name).touch()
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "uv").symlink_to(clone.parent / "programs" / "uv")
    done = run_step("release/publish/Publish the wheel", clone, {"make": "", "uv": ""})
    assert done.calls[-1] == (
        "uv publish --trusted-publishing always --check-url https://pypi.org/simple/ dist/a.whl dist/a.tar.gz"
    )


@pytest.mark.parametrize(
    ("version", "token", "there", "published"),
    [
        ("1.0.0", "", False, None),
        ("1.0.0", "token", True, None),
        ("1.0.0", "token", False, "latest"),
        ("1.0.0-rc.1", "token", False, "next"),
    ],
)
def test_the_client_is_published_once_there_is_a_token_and_only_once(
    clone: Path, version: str, token: str, there: bool, published: str | None
) -> None:
    manifest = clone / "package.json"
    manifest.write_text(json.dumps({"name": "join-session-client", "version": version}))
    (clone / "dist").mkdir()
    package = f"dist/join-session-client-{version}.tgz"
    with tarfile.open(clone / package, "w:gz") as archive:
        archive.add(manifest, "package/package.json")
    npm = f"[[ $1 != view ]] || {f'echo {version}' if there else 'exit 1'}"
    done = run_step("release/publish/Publish the client", clone, {"npm": npm}, NODE_AUTH_TOKEN=token)
    assert done.code == 0, done.said
    publishing = [call for call in done.calls if call.startswith("npm publish")]
    assert publishing == (
        [f"npm publish {package} --provenance --access public --tag {published}"] if published else []
    )
