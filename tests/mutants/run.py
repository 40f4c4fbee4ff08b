"""Which faults no test finds: `python -m tests.mutants.run [--every N] [--most SECONDS] [FILE …]`.

Each fault is put into a copy of the project, where the tests of that part run until one fails. What survives is listed:
either a test is missing or the code is not needed. Without files it is the Lua steps, the domain and the packets.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.mutants.mutations import Mutant, mutants

__all__: list[str] = []

_ROOT: Final = Path(__file__).parent.parent.parent
# What is mutated, and the tests that are to find it.
_SUBJECTS: Final = {
    "app/store/scripts/*.lua": ["tests/model", "tests/store", "tests/races"],
    "app/store/scripts/session/*.lua": ["tests/model", "tests/store", "tests/races"],
    "app/sessions/*.py": ["tests/model", "tests/test_architecture.py"],
    "app/socketio_server/packets.py": ["tests/protocol/test_socket_io.py", "tests/protocol/test_fuzz.py"],
}
_TIMEOUT_SECONDS: Final = 300


def _copy(folder: Path) -> None:
    for name in ("app", "tests", "docs", "pyproject.toml"):
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def _passes(folder: Path, tests: list[str]) -> bool:
    """Whether all tests pass; a fault that makes them hang is found, too."""
    # `python -m` puts the copy's `app` before the installed one.
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _tests_of(path: Path) -> list[str]:
    return next(tests for pattern, tests in _SUBJECTS.items() if path.match(pattern))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take only every N-th fault")
    parser.add_argument("--most", type=float, default=float("inf"), metavar="SECONDS", help="end after this time")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    files = arguments.files or [
        path.relative_to(_ROOT) for pattern in _SUBJECTS for path in sorted(_ROOT.glob(pattern))
    ]
    chosen = [mutant for path in files for mutant in mutants(path)][:: arguments.every]
    end = time.monotonic() + arguments.most
    survived: list[Mutant] = []
    tried = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _copy(folder)
        for tests in {tuple(_tests_of(path)) for path in files}:
            assert _passes(folder, list(tests)), f"{tests} fail without any fault"
        for mutant in chosen:
            if time.monotonic() > end:
                break
            (folder / mutant.path).write_text(mutant.text)
            tried += 1
            if _passes(folder, _tests_of(mutant.path)):
                survived.append(mutant)
                print(f"survived: {mutant}", flush=True)  # noqa: T201
            shutil.copy(_ROOT / mutant.path, folder / mutant.path)
    print(f"{tried - len(survived)} of {tried} found ({len(chosen)} there are)")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
