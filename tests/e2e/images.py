"""The images that the drills deploy: this version and the one before. `python -m tests.e2e.images` builds them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.harness.previous import PREVIOUS, archive_of

__all__ = ["IMAGE", "PREVIOUS_IMAGE", "build_images"]

IMAGE: Final = "join-session:e2e"
PREVIOUS_IMAGE: Final = "join-session:e2e-previous"

_ROOT: Final = Path(__file__).parent.parent.parent


def build_images() -> None:
    """Build both, each by the Dockerfile and the lock file of its version. Docker reports on the terminal."""
    _build(IMAGE, ".")
    _build(PREVIOUS_IMAGE, "-", archive_of(PREVIOUS[-1]))


def _build(image: str, context: str, archive: bytes | None = None) -> None:
    build = ("docker", "build", "--quiet", "--target", "production", "--tag", image, context)
    subprocess.run(build, cwd=_ROOT, input=archive, check=True, timeout=900)


if __name__ == "__main__":
    build_images()
