"""The tests of the contract, once more on the other ways of running Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.topologies import TOPOLOGIES

ROOT = Path(__file__).parents[2]
# Those whose replicas are the ones that all tests share.
SUITE = (
    "tests/http/test_create.py",
    "tests/http/test_join.py",
    "tests/http/test_read.py",
    "tests/realtime/test_events.py",
    "tests/realtime/test_idempotency.py",
    "tests/realtime/test_lifetime.py",
    "tests/realtime/test_movies.py",
    "tests/realtime/test_people.py",
    "tests/realtime/test_permissions.py",
    "tests/realtime/test_replicas.py",
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", [name for name in TOPOLOGIES if name != "standalone"])
def test_the_contract_holds_on_every_way_of_running_redis(topology: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *SUITE],
        cwd=ROOT,
        env=os.environ | {"JOIN_SESSION_TEST_TOPOLOGY": topology},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
