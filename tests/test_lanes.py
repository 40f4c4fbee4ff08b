"""What costs less is the same function called earlier: without it clients see the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.harness.service import LANES, variable_of

ROOT: Final = Path(__file__).parent.parent
# The 57 cases of the protocol run with and without in any case: `tests/protocol`.
SUITES: Final = {
    "direct_joins": ("http", "contract", "observability", "documents", "replica"),
    "compression": ("contract", "realtime", "http"),
    "direct_websockets": ("contract", "realtime", "limits", "http/test_upgrades.py"),
}
assert set(SUITES) == set(LANES)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("lane", "suite"), [(lane, suite) for lane, suites in SUITES.items() for suite in suites])
def test_the_contract_holds_without_a_lane(lane: str, suite: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"tests/{suite}"],
        cwd=ROOT,
        env=os.environ | {variable_of(lane): "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
