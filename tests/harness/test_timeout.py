"""A test that hangs is ended, wherever it hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

_HANGING: Final = """
import asyncio
import pytest
from tests import conftest

conftest._TOLD_AGAIN = 1.0

async def stay():
    while True:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            pass

@pytest.mark.timeout(1)
def test_hangs():
    async def run():
        staying = asyncio.create_task(stay())
        await asyncio.sleep(1_000)

    asyncio.run(run())
"""


def test_a_test_whose_event_loop_hangs_as_it_closes_is_ended(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_timeout_set_timer\n")
    (tmp_path / "test_hanging.py").write_text(_HANGING)
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "1 failed" in ended.stdout
    assert "Timeout" in ended.stdout
