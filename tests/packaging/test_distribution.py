"""The distribution: everything that the service needs is in the wheel, and whoever installs it can serve and join."""

from __future__ import annotations

import asyncio
import email
import json
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from app import __version__
from tests.harness.newcomer import joined, serving
from tests.packaging.tools import ROOT, run
from tests.packaging.workflow_steps import run_step

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY: Final = "https://github.test/Acme/Join-Session"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the repository, with the environment that make has made."""
    folder = tmp_path_factory.mktemp("distribution") / "clone"
    for name in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


@pytest.fixture(scope="module")
def built(clone: Path) -> Path:
    """What a release publishes, built by its workflow."""
    server, _, repository = REPOSITORY.partition("/Acme")
    done = run_step(
        "release/packages/Build",
        clone,
        {"make": ""},
        GITHUB_SERVER_URL=server,
        GITHUB_REPOSITORY=f"Acme{repository}",
    )
    assert done.code == 0, done.said
    return clone / "dist"


def files(*paths: str) -> list[str]:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", *paths)
    return [name for name in run(*command, cwd=ROOT).splitlines() if (ROOT / name).is_file()]


def wheel(built: Path) -> Path:
    [path] = built.glob("join_session-*-py3-none-any.whl")
    return path


def test_the_wheel_has_all_of_the_service_and_nothing_else(built: Path) -> None:
    assert wheel(built).name == f"join_session-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel(built)) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == set(files("app"))


def test_the_source_distribution_has_the_service_and_its_documents(built: Path) -> None:
    with tarfile.open(built / f"join_session-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {*files("app", "docs"), "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    assert names - {".gitignore", "PKG-INFO"} == expected


def test_the_client_for_javascript_has_its_code_and_its_types(built: Path) -> None:
    with tarfile.open(built / f"join-session-client-{__version__}.tgz") as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        manifest = archive.extractfile("package/package.json")
        assert manifest is not None
        package = json.load(manifest)
    client = {name.removeprefix("clients/js/") for name in files("clients/js/dist")}
    assert names == {*client, "LICENSE", "README.md", "package.json"}
    assert package["version"] == __version__
    for entry in package["exports"].values():
        assert {path.removeprefix("./") for path in entry.values()} <= names


def test_its_page_at_a_registry_leads_to_the_repository(built: Path) -> None:
    with zipfile.ZipFile(wheel(built)) as archive:
        text = archive.read(f"join_session-{__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert f"Source, {REPOSITORY}" in metadata.get_all("Project-URL", ())
    links = re.findall(r"\]\(([^)]+)\)", re.sub(r"(?s)```.*?```", "", str(metadata.get_payload())))
    assert f"{REPOSITORY}/raw/HEAD/docs/page.png" in links
    assert f"{REPOSITORY}/blob/HEAD/docs/api.md" in links
    assert [link for link in links if not re.match(r"https?://|#", link)] == []


async def test_whoever_installs_the_wheel_serves_and_joins(built: Path, tmp_path: Path) -> None:
    uv, place = Path(sys.executable).parent / "uv", tmp_path / "environment"
    run(uv, "venv", "--quiet", "--python", sys.executable, place)
    lock = ROOT / "requirements-dev.lock"
    options = ("--quiet", "--python", place / "bin" / "python", "--constraints", lock)
    run(uv, "pip", "install", *options, f"{wheel(built)}[embedded]")
    command = place / "bin" / "join-session"
    assert run(command, "--version").strip().endswith(__version__)
    with serving([command, "serve"], tmp_path, JOIN_SESSION_DEMO="true") as served:
        await joined(served.address, served.code)
        served.process.terminate()
        assert await asyncio.to_thread(served.process.wait, timeout=30) == 0
