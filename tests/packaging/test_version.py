"""The version stands in several files, and is the same in all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from app import __version__
from tests.packaging.tools import ROOT

# Where it stands, each time it does.
PLACES: Final = {
    "app/__init__.py": [r'__version__ = "(.+)"'],
    "clients/js/package.json": [r'"version": "(.+)"'],
    "charts/join-session/Chart.yaml": [r"(?m)^version: (.+)", r"appVersion: (.+)", r"image: join-session:(.+)"],
    "k8s/overlays/production/kustomization.yaml": [r"newTag: (.+)"],
}

LOCKS: Final = [str(path.relative_to(ROOT)) for path in ROOT.glob("examples/*/package-lock.json")]


def versions(root: Path) -> list[str]:
    """All that stand in these files."""
    return [
        version
        for name, patterns in PLACES.items()
        for pattern in patterns
        for version in re.findall(pattern, (root / name).read_text())
    ]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with these files and the script."""
    for name in (*PLACES, *LOCKS, "CHANGELOG.md", ".ci/version-set"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_say_the_same() -> None:
    assert versions(ROOT) == [__version__] * 6


@pytest.mark.parametrize("version", ["1.2.3", "10.0.0-rc.1"])
def test_one_command_sets_all(copy: Path, version: str) -> None:
    subprocess.run([copy / ".ci" / "version-set", version], check=True)
    assert versions(copy) == [version] * 6


def test_examples_have_the_client_of_this_version(copy: Path) -> None:
    subprocess.run([copy / ".ci" / "version-set", "1.2.3"], check=True)
    for root, version in ((ROOT, __version__), (copy, "1.2.3")):
        for lock in root.glob("examples/*/package-lock.json"):
            packages = json.loads(lock.read_text())["packages"]
            assert packages["node_modules/join-session-client"]["version"] == version, lock


def test_what_is_not_released_yet_becomes_the_section_of_the_version_once(copy: Path) -> None:
    changelog = copy / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## Unreleased\n\n### Added\n\n- This.\n\n## 1.2.30 - 2025-01-01\n")
    for _ in range(2):
        subprocess.run([copy / ".ci" / "version-set", "1.2.3"], check=True)
    headings = re.findall(r"^## (.+)$", changelog.read_text(), re.MULTILINE)
    assert [re.sub(r"\d{4}-\d\d-\d\d", "DATE", heading) for heading in headings] == [
        "Unreleased",
        "1.2.3 - DATE",
        "1.2.30 - DATE",
    ]


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3/x", "01.2.3"])
def test_what_is_no_version_is_refused_and_changes_nothing(copy: Path, version: str) -> None:
    done = subprocess.run([copy / ".ci" / "version-set", version], capture_output=True, text=True, check=False)
    assert (done.returncode, "VERSION=" in done.stderr) == (2, True)
    assert versions(copy) == [__version__] * 6
