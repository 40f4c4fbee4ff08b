"""The scripts are found in their folder, and each of them has its place in the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from app.store import scripts
from app.store.scripts import SessionScripts, load_script

FOLDER: Final = Path(scripts.__file__).parent


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the steps, to be changed."""
    steps = tmp_path / "session"
    steps.mkdir()
    for path in (FOLDER / "session").iterdir():
        (steps / path.name).write_text(path.read_text())
    monkeypatch.setattr(scripts, "files", lambda _: tmp_path)
    return steps


def test_a_step_without_its_script_fails_at_the_start(copied: Path) -> None:
    (copied / "vote.lua").unlink()
    with pytest.raises(RuntimeError, match=r"missing \['vote'\], unused \[\]"):
        SessionScripts.load()


def test_a_script_that_belongs_to_no_step_fails_at_the_start(copied: Path) -> None:
    (copied / "applaud.lua").write_text("return reply('ok')")
    with pytest.raises(RuntimeError, match=r"missing \[\], unused \['applaud'\]"):
        SessionScripts.load()


def test_each_other_script_is_used() -> None:
    code = "".join(path.read_text() for path in FOLDER.parent.glob("*.py"))
    assert set(re.findall(r'load_script\("(\w+)"\)', code)) == {path.stem for path in FOLDER.glob("*.lua")}


def test_a_script_that_does_not_exist_fails_at_the_start() -> None:
    with pytest.raises(FileNotFoundError):
        load_script("applaud")
