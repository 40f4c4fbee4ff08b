"""Tasks that run beside their owner."""

from __future__ import annotations

import asyncio
import logging

import pytest

from app.background import Background
from app.deadline import Deadline, within

LOGGER = logging.getLogger("app.test")


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("no")

    background = Background("counting", LOGGER, level=logging.CRITICAL)
    task = background.start(fail())
    await asyncio.wait({task})
    await background.close()
    (record,) = caplog.records
    assert (record.levelname, record.message, record.__dict__["task"]) == (
        "CRITICAL",
        "background task failed",
        "counting",
    )
    assert "in fail" in record.__dict__["traceback"]
    assert task.get_name() == "counting"


async def test_closing_cancels_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    background = Background("waiting", LOGGER)
    tasks = [background.start(forever()) for _ in range(3)]
    await background.close()
    assert all(task.cancelled() for task in tasks)
    assert not caplog.records


async def test_what_ends_in_time_is_not_cancelled() -> None:
    going = asyncio.Event()
    background = Background("ending", LOGGER)
    quick, slow = background.start(going.wait()), background.start(forever())
    asyncio.get_running_loop().call_soon(going.set)
    await background.close(timeout=0.05)
    assert quick.result() is True
    assert slow.cancelled()


async def test_no_deadline_is_inherited_from_the_request_that_starts_a_task() -> None:
    async def look() -> float:
        return within(1000)

    background = Background("looking", LOGGER)
    with Deadline(1):
        task = background.start(look())
    assert await task > asyncio.get_running_loop().time() + 900
