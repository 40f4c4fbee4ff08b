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
    "direct_joins": ("tests/http", "tests/contract", "tests/observability", "tests/documents", "tests/replica"),
    "compression": ("tests/contract", "tests/realtime", "tests/http"),
    "direct_websockets": ("tests/contract", "tests/realtime", "tests/limits", "tests/http/test_upgrades.py"),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lane", LANES)
def test_the_contract_holds_without_a_lane(lane: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *SUITES[lane]],
        cwd=ROOT,
        env=os.environ | {variable_of(lane): "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
