"""Worlds for all tests that break something and mend it again, and the shared replicas for those that break nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.faults.world import World, world
from tests.harness.people import api, node

__all__ = ["api", "broken", "hasty", "node"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broken() -> AsyncIterator[World]:
    """Three replicas that remove nobody for being away, however busy the machine is."""
    async with world(3, grace=600) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hasty() -> AsyncIterator[World]:
    """A replica that removes people soon after they are gone, and forgets sessions soon after their end."""
    async with world(1, grace=0.5, code_rest=4, min_lifetime=1) as started:
        yield started
