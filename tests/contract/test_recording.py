"""Clients see what they saw, byte by byte: see `tests.contract.recorder`."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.recorder import recorded, recording, serving
from tests.contract.scenarios import SCENARIOS, Scenario, Services

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services() -> AsyncIterator[Services]:
    async with serving() as started:
        yield started


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_clients_see_what_was_recorded(services: Services, scenario: Scenario) -> None:
    path = recorded(scenario)
    today = await recording(scenario, services)
    lines = difflib.unified_diff(
        path.read_text().splitlines(), today.splitlines(), f"recorded/{path.name}", "today", lineterm=""
    )
    difference = "\n".join(lines)
    assert not difference, f"clients see something else:\n{difference}"
