"""The images that the drills deploy: this version and the one before. `python -m tests.e2e.images` builds them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.harness.previous import PREVIOUS, archive_of

__all__ = ["ADAPTER_IMAGE", "IMAGE", "PREVIOUS_IMAGE", "build_images", "provide_adapter"]

IMAGE: Final = "join-session:e2e"
PREVIOUS_IMAGE: Final = "join-session:e2e-previous"
ADAPTER_IMAGE: Final = "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"

_ROOT: Final = Path(__file__).parent.parent.parent


def build_images() -> None:
    """Build both, each by the Dockerfile and the lock file of its version. Docker reports on the terminal."""
    _build(IMAGE, ".")
    _build(PREVIOUS_IMAGE, "-", archive_of(PREVIOUS[-1]))


def _build(image: str, context: str, archive: bytes | None = None) -> None:
    build = ("docker", "build", "--quiet", "--target", "production", "--tag", image, context)
    subprocess.run(build, cwd=_ROOT, input=archive, check=True, timeout=900)


def provide_adapter() -> None:
    """Let Docker have the metrics adapter; where nothing can be pulled, it is built from its Go module."""
    if _run("docker", "image", "ls", "--quiet", ADAPTER_IMAGE) or not _fails("docker", "pull", ADAPTER_IMAGE):
        return
    module = f"sigs.k8s.io/prometheus-adapter@{ADAPTER_IMAGE.rpartition(':')[2]}"
    source = json.loads(_run("go", "mod", "download", "-json", module))["Dir"]
    with tempfile.TemporaryDirectory() as folder:
        build = (
            "go",
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
            f"{folder}/adapter",
            "./cmd/adapter",
        )
        subprocess.run(build, cwd=source, env=os.environ | {"CGO_ENABLED": "0"}, check=True, timeout=1200)
        (Path(folder) / "Dockerfile").write_text('FROM scratch\nCOPY adapter /adapter\nENTRYPOINT ["/adapter"]\n')
        _run("docker", "build", "--quiet", "--tag", ADAPTER_IMAGE, folder)


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout


def _fails(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, timeout=300).returncode != 0


if __name__ == "__main__":
    build_images()
