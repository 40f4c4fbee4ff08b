"""The scripts are found in their folder, and each of them is used."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from app.store import scripts
from app.store.scripts import ListScripts, SessionScripts, load_scripts

FOLDER: Final = Path(scripts.__file__).parent


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(FOLDER, tmp_path / "scripts"))


@pytest.mark.parametrize("name", ["session/vote", "session/_change", "claim_due"])
def test_a_missing_script_fails_at_the_start(copied: Path, name: str) -> None:
    (copied / f"{name}.lua").unlink()
    with pytest.raises(RuntimeError, match=rf"missing \['{Path(name).name}'\], unused \[\]"):
        load_scripts(copied)


@pytest.mark.parametrize("name", ["session/applaud", "session/_applause", "applaud"])
def test_a_script_that_no_step_uses_fails_at_the_start(copied: Path, name: str) -> None:
    (copied / f"{name}.lua").write_text("return reply('ok')")
    with pytest.raises(RuntimeError, match=rf"missing \[\], unused \['{Path(name).name}'\]"):
        load_scripts(copied)


def test_each_step_is_taken_by_the_store() -> None:
    code = "".join(path.read_text() for path in FOLDER.parent.glob("*.py"))
    named = set(re.findall(r"\b(?:_scripts|LIST_SCRIPTS)\.(\w+)", code))
    assert named == {field.name for kind in (SessionScripts, ListScripts) for field in fields(kind)}
