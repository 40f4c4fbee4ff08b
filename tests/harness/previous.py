"""Earlier versions of the service, from the repository's history, for tests of rolling upgrades."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["PREVIOUS", "archive_of", "version_of"]

# The versions from which a deployment may be upgraded to this one.
PREVIOUS: Final = ("748ce26", "d272c97", "fa785a7")

_ROOT: Final = Path(__file__).parent.parent.parent


def archive_of(commit: str, *paths: str) -> bytes:
    """Return a tar archive of a commit's files, or of those in some paths."""
    archive = subprocess.run(["git", "archive", commit, *paths], cwd=_ROOT, capture_output=True, check=False)
    assert archive.returncode == 0, (
        f"commit {commit} is needed, so fetch the whole history (git fetch --unshallow): {archive.stderr.decode()}"
    )
    return archive.stdout


def version_of(commit: str) -> Path:
    """Return a folder with the version of a commit: `app`, to run with the current libraries, and `charts`."""
    folder = _ROOT / ".cache" / f"version-{commit}"
    if folder.exists():
        return folder
    archive = archive_of(commit, "app", "charts")
    folder.parent.mkdir(exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(made, filter="data")
    try:
        made.rename(folder)
    except OSError:
        # Another test process was faster.
        shutil.rmtree(made)
    return folder
