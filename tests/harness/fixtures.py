"""Fixtures for conftest.py to import: a fresh server for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.redis import RedisServer


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A server on a loopback port that keeps its data over a restart."""
    async with RedisServer(aof=True) as server:
        yield server
