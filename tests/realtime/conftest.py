"""Fixtures: the shared replicas' HTTP API and their clients; and a replica of its own, where nobody is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.here import Here, served_here
from tests.harness.people import Api, api, node, people
from tests.harness.redis import RedisServer

__all__ = ["api", "brief", "brief_api", "node", "people"]


@pytest.fixture
async def brief() -> AsyncIterator[Here]:
    """A replica with a very short grace time."""
    async with RedisServer() as redis, served_here(redis.url(), grace=0.05) as (started,):
        yield started


@pytest.fixture
async def brief_api(brief: Here) -> AsyncIterator[Api]:
    opened = Api([brief])
    yield opened
    await opened.close()
