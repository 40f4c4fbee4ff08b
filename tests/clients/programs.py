"""Programs of clients in Java and in Rust: built when they are asked for, by Maven and by Cargo."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "java", "rust"]

ROOT: Final = Path(__file__).parent.parent.parent
_JAVA: Final = Path(__file__).parent / "java"
_RUST: Final = Path(__file__).parent / "rust"
_BUILD: Final = ROOT / ".cache" / "clients"


def java(name: str) -> list[str]:
    """Return the command for a class of the project in Java."""
    _build_java()
    return ["java", "-cp", f"{_BUILD / 'java' / 'classes'}:{_BUILD / 'java' / 'dependency'}/*", name]


def rust() -> list[str]:
    """Return the command for the program in Rust."""
    _build_rust()
    return [str(_BUILD / "rust" / "debug" / "reconnect")]


@functools.cache
def _build_java() -> None:
    _run("mvn", "--batch-mode", "--quiet", f"-Dbuild={_BUILD / 'java'}", "compile", folder=_JAVA)


@functools.cache
def _build_rust() -> None:
    _run("cargo", "build", "--quiet", "--locked", "--target-dir", str(_BUILD / "rust"), folder=_RUST)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
