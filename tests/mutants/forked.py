"""Runs of pytest that start at once: forked from a process that has imported every library they need."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, settings

__all__ = ["first_failure"]

_FORK: Final = multiprocessing.get_context("fork")
_OURS: Final = ("app", "tests")
# Together they import the libraries that tests need.
_IMPORTING: Final = ("tests.conftest", "tests.model.test_session", "tests.operators.test_operators_api")
_PLUGINS: Final = ("-p", "no:cacheprovider", "-p", "no:anyio", "-p", "no:xdist")
_OPTIONS: Final = ("-q", "-x", *_PLUGINS, "-m", "not slow", "-W", "ignore:Module already imported")

for _name in _IMPORTING:
    import_module(_name)
# What is imported here is not looked at again after each test.
gc.freeze()


def first_failure(folder: Path, tests: Sequence[str], *, timeout: float) -> str | None:
    """The first of the tests of the project in a folder that fails, "timeout" if they hang, None if all pass."""
    receiver, sender = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_run, args=(folder, tests, sender))
    process.start()
    sender.close()
    failure = "timeout"
    if receiver.poll(timeout):
        with suppress(EOFError):
            failure = receiver.recv()
            process.join(timeout)
    # With the servers that it may have left.
    with suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return failure or None


def _run(folder: Path, tests: Sequence[str], sender: Connection) -> None:
    os.setsid()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    with (folder / "output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    report = _Report()
    status = pytest.main([*_OPTIONS, *tests], plugins=[report])
    sender.send(report.failed or ("" if status == pytest.ExitCode.OK else f"pytest: {status}"))


class _Report:
    """Notes the first failure, and lets Hypothesis stop at it: an example need not be small."""

    failed = ""

    def pytest_collection_finish(self) -> None:
        settings.register_profile("faults", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("faults")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid
