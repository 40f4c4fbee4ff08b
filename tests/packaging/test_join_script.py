"""The script that `helm test` runs, against real replicas."""

from __future__ import annotations

import subprocess
import sys

from tests.harness.service import Replica
from tests.packaging.generate import CHARTS

SCRIPT = CHARTS / "join-session" / "files" / "join.py"


def test_it_joins_polls_upgrades_and_hears_another_client(service: list[Replica]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, service[0].url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "connected by polling",
        "upgraded to WebSocket",
        "heard the other client join",
    ]


def test_it_fails_where_nobody_serves(service: list[Replica]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "http://127.0.0.1:9"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
