"""Which faults no test finds: `python -m tests.mutants.run [OPTION …] [FILE …]`; `--help` shows the options.

Each fault is put into a copy of the project, where tests run until one fails: first the quick ones of that part, then,
but for `--quick`, all that might notice. What survives is listed: either a test is missing or the code is not needed.
Without files it is the Lua steps, the domain and the packets.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.mutants.forked import first_failure
from tests.mutants.mutations import Mutant, mutants

__all__: list[str] = []

_ROOT: Final = Path(__file__).parent.parent.parent
_NODE_MODULES: Final = "tests/js/node_modules"
_QUICK_TIMEOUT_SECONDS: Final = 240.0
_TIMEOUT_SECONDS: Final = 900.0


@dataclass(frozen=True)
class _Tests:
    """Those that are to find the faults of a part, in the order in which they run."""

    quick: tuple[str, ...]
    others: tuple[str, ...] = ("tests/realtime", "tests/http", "tests/operators", "tests/races")

    def first_failure(self, folder: Path, *, quick: bool) -> str | None:
        failure = first_failure(folder, self.quick, timeout=_QUICK_TIMEOUT_SECONDS)
        if failure or quick:
            return failure
        return first_failure(folder, self.others, timeout=_TIMEOUT_SECONDS)


_LOOK_UPS: Final = _Tests(quick=("tests/model/test_look_ups.py", "tests/model/test_admission.py"))
_VALUES: Final = _Tests(
    quick=(
        "tests/model/test_rules.py",
        "tests/model/test_payloads.py",
        "tests/model/test_texts.py",
        "tests/model/test_rating.py",
        "tests/model/test_session.py",
        "tests/steps",
        "tests/documents/test_documents.py",
    )
)
# The first pattern that a path matches counts.
_PARTS: Final = {
    "app/store/scripts/session/*.lua": _Tests(quick=("tests/steps", "tests/model/test_session.py")),
    "app/store/scripts/*.lua": _Tests(quick=("tests/steps",)),
    "app/sessions/administration.py": _Tests(quick=("tests/operators/test_operators_api.py",)),
    "app/sessions/admission.py": _LOOK_UPS,
    "app/sessions/guard.py": _LOOK_UPS,
    "app/sessions/look_ups.py": _LOOK_UPS,
    "app/sessions/creation.py": _Tests(quick=("tests/model",)),
    "app/sessions/service.py": _Tests(quick=("tests/model",)),
    "app/sessions/*.py": _VALUES,
    "app/socketio_server/packets.py": _Tests(quick=("tests/protocol/test_socket_io.py",), others=("tests/protocol",)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run only the quick tests")
    parser.add_argument("--every", type=int, default=1, help="take only every N-th fault")
    parser.add_argument(
        "--most", type=float, default=float("inf"), metavar="SECONDS", help="begin none after this time"
    )
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many are tried at the same time")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    files = arguments.files or sorted({path.relative_to(_ROOT) for part in _PARTS for path in _ROOT.glob(part)})
    chosen = [mutant for path in files for mutant in mutants(path)][:: arguments.every]
    end = time.monotonic() + arguments.most
    tried, found = Counter[Path](), Counter[Path]()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(arguments.at_once, multiprocessing.get_context("fork")) as workers,
    ):
        copies = Path(folder)
        for tests in {_tests_of(path) for path in files}:
            failed = tests.first_failure(_copy(copies / "without"), quick=arguments.quick)
            assert failed is None, f"{failed} fails without any fault"
        for mutant, finder in zip(
            chosen, workers.map(partial(_finder, copies, end, arguments.quick), chosen), strict=True
        ):
            if finder == _NOT_TRIED:
                continue
            tried[mutant.path] += 1
            found[mutant.path] += finder is not None
            print(f"found: {mutant}  by {finder}" if finder else f"survived: {mutant}", flush=True)  # noqa: T201
    for path in tried:
        print(f"{found[path]} of {tried[path]} found in {path}")  # noqa: T201
    print(f"{found.total()} of {tried.total()} found ({len(chosen)} there are)")  # noqa: T201
    return 0


_NOT_TRIED: Final = "not tried"


def _finder(copies: Path, end: float, quick: bool, mutant: Mutant) -> str | None:
    """The test that finds a fault, in this worker's copy."""
    if time.monotonic() > end:
        return _NOT_TRIED
    folder = _copy(copies / str(os.getpid()))
    path = folder / mutant.path
    original = path.rename(path.with_suffix(".original"))
    path.write_text(mutant.text)
    # A time of its own, or what was compiled of another fault could be taken for it.
    seconds = random.randrange(2**31)
    os.utime(path, (seconds, seconds))
    finder = _tests_of(mutant.path).first_failure(folder, quick=quick)
    original.replace(path)
    return finder


def _copy(folder: Path) -> Path:
    """The project, with what is compiled already; it is copied once."""
    if folder.exists():
        return folder
    for name in ("app", "tests", "docs"):
        shutil.copytree(_ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy2(_ROOT / "pyproject.toml", folder / "pyproject.toml")
    (folder / _NODE_MODULES).symlink_to(_ROOT / _NODE_MODULES)
    return folder


def _tests_of(path: Path) -> _Tests:
    return next(tests for pattern, tests in _PARTS.items() if path.match(pattern))


if __name__ == "__main__":
    sys.exit(main())
