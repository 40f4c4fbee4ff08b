"""What `.ci/run` makes of its suites: who fails has to pass when run again, and is told; four of them are too many."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.tools import ROOT

SUITES: Final = ("test", "slow", "serial", "cluster")
# Plays `make`: of suite S the first run says what is in S.1, the second what is in S.2; with neither it passes.
MAKE: Final = """#!/usr/bin/env bash
echo "make $*" >>calls
[[ $* == *--last-failed* ]] && run=$1.2 || run=$1.1
[[ ! -e $run ]] || { cat $run; exit 2; }
echo "===== 1 passed in 1.00s ====="
"""


class Machine:
    """A clone whose suites end as told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in (".ci", "tests/e2e", "bin"):
            (folder / name).mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
        self._program("bin/make", MAKE)
        self._program("bin/dpkg", "#!/bin/sh\n")
        self.drills_end_with(0)

    def fails(self, suite: str, *lines: str, again: bool = False) -> None:
        (self._folder / f"{suite}.{2 if again else 1}").write_text("\n".join([*lines, "==== failed in 2.00s ====", ""]))

    def drills_end_with(self, code: int) -> None:
        """How it ends to make what they need."""
        self._program("tests/e2e/run", f"#!/bin/sh\nexit {code}\n")

    def run(self) -> tuple[int, str]:
        """The exit code, and what it ends with."""
        code, output = self.run_to_the_end()
        return code, output.rpartition("\n\n")[2]

    def run_to_the_end(self) -> tuple[int, str]:
        path = f"{self._folder / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            [self._folder / ".ci" / "run"],
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout

    def suites(self) -> list[str]:
        return [line.split()[1] for line in (self._folder / "calls").read_text().splitlines()]

    def _program(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)
        (self._folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_suites_run_and_each_shows_its_last_line(machine: Machine) -> None:
    assert machine.run() == (0, "===== 1 passed in 1.00s =====\n" * len(SUITES))
    assert machine.suites() == ["test", "lint", "slow", "serial", "bench-smoke", "cluster"]


def test_the_twenty_slowest_of_all_suites_are_shown(machine: Machine) -> None:
    for suite, seconds in (("test", 0), ("slow", 100)):
        times = [f"{seconds + number}.25s call     tests/a.py::test_{number}" for number in range(15)]
        machine.fails(suite, "FAILED tests/a.py::test_b - why", *times)
    _, output = machine.run_to_the_end()
    shown = output.partition("The 20 slowest tests of all suites:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in shown] == [
        f"{number}.25s" for number in (*range(114, 99, -1), *range(14, 9, -1))
    ]


def test_what_passes_when_run_again_is_told_with_its_reason(machine: Machine) -> None:
    machine.fails("slow", "FAILED tests/a.py::test_b[x - y] - assert 1 == 2", "ERROR    app.log:1 not one of ours")
    code, told = machine.run()
    assert code == 0
    assert told.endswith("run again:\nFAILED tests/a.py::test_b[x - y] - assert 1 == 2\n")
    assert machine.suites() == ["test", "lint", "slow", "slow", "serial", "bench-smoke", "cluster"]


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, 1)])
def test_more_than_three_that_failed_once_are_too_many(machine: Machine, count: int, code: int) -> None:
    for number, suite in enumerate(SUITES[:count]):
        machine.fails(suite, f"FAILED tests/a.py::test_{number} - why", f"ERROR tests/a.py::test_{number} - why")
    got, told = machine.run()
    assert (got, told.count("FAILED")) == (code, count)


def test_what_fails_twice_ends_the_run(machine: Machine) -> None:
    machine.fails("test", "FAILED tests/a.py::test_b - why")
    machine.fails("test", "FAILED tests/a.py::test_b - why", again=True)
    code, told = machine.run()
    assert code == 1
    assert "FAILED tests/a.py::test_b - why" in told
    assert machine.suites() == ["test", "test"]


def test_a_suite_that_fails_without_a_test_is_not_run_again(machine: Machine) -> None:
    machine.fails("test", "ImportError while loading conftest")
    assert machine.run()[0] == 1
    assert machine.suites() == ["test"]


@pytest.mark.parametrize(("code", "drilled"), [(0, True), (1, True), (69, False)])
def test_only_without_docker_and_kind_there_are_no_drills(machine: Machine, code: int, drilled: bool) -> None:
    machine.drills_end_with(code)
    assert machine.run()[0] == 0
    assert ("cluster" in machine.suites()) == drilled
