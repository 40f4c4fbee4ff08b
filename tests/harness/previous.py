"""Versions of the service before this one, from the repository's history: replicas of them share a Redis with ours."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["PREVIOUS", "version_of"]

# The commits from which a deployment is upgraded to this version.
PREVIOUS: Final = ("0e9aaa6", "748ce26")

_ROOT: Final = Path(__file__).parent.parent.parent


def version_of(commit: str) -> Path:
    """A folder in which `python -m app` is the version of a commit; the libraries are those of today."""
    folder = _ROOT / ".cache" / f"previous-{commit}"
    if folder.exists():
        return folder
    archive = subprocess.run(["git", "archive", commit, "app"], cwd=_ROOT, capture_output=True, check=False)
    assert archive.returncode == 0, (
        f"commit {commit} is needed, so fetch the whole history (git fetch --unshallow): {archive.stderr.decode()}"
    )
    folder.parent.mkdir(exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(made, filter="data")
    try:
        made.rename(folder)
    except OSError:
        # Another process of the tests was faster.
        shutil.rmtree(made)
    return folder
