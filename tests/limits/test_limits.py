"""docs/limits.md, row by row: each bound holds against a client that tries to exceed it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from app.settings import PREFIX, Settings
from tests.harness.redis import RedisServer
from tests.limits import (  # noqa: F401 - they register their attempts
    connections,
    floods,
    forwarding,
    kept,
    look_ups,
    memberships,
    memory,
    passcodes,
    sessions,
    sockets,
    texts,
    times,
    webhooks,
)
from tests.limits.attempts import ATTEMPTS

PAGE: Final = (Path(__file__).parent.parent.parent / "docs" / "limits.md").read_text()


@dataclass(frozen=True)
class Row:
    what: str
    bound: str
    per: str
    setting: str


def _rows() -> list[Row]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [Row(*row) for row in cells[2:]]


ROWS: Final = _rows()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", [row.what for row in ROWS])
async def test_a_bound_holds_against_a_client_that_tries(redis: RedisServer, what: str) -> None:
    await ATTEMPTS[what](redis)


def test_every_row_is_tried_and_every_attempt_has_its_row() -> None:
    assert sorted(row.what for row in ROWS) == sorted(ATTEMPTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_row_names_settings_that_exist_or_says_that_the_bound_is_fixed(row: Row) -> None:
    names = re.findall(rf"`{PREFIX}(\w+)`", row.setting)
    assert names or row.setting == "fixed"
    assert all(name.lower() in Settings.model_fields for name in names), row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_bound_of_a_setting_is_its_default(row: Row) -> None:
    """The first number of a bound is the default of the first setting of the row, unless it depends on others."""
    names = re.findall(rf"`{PREFIX}(\w+)`", row.setting)
    if not names or Settings.model_fields[names[0].lower()].default is None:
        return
    number = re.search(r"\d[\d,]*", row.bound)
    assert number is not None
    assert float(number[0].replace(",", "")) == float(Settings.model_fields[names[0].lower()].default), row
