"""Fixtures for conftest.py to import: a fresh server for each test that asks for one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, Replica, running_replicas
from tests.harness.topologies import TOPOLOGIES


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A server on a loopback port that keeps its data over a restart."""
    async with RedisServer(aof=True) as server:
        yield server


@pytest.fixture(scope="session")
def service() -> Iterator[list[Replica]]:
    """Three replicas on one Redis, for all tests that break nothing; loopback is free of budgets.

    `JOIN_SESSION_TEST_TOPOLOGY` chooses another way of running Redis, see `tests.harness.topologies.TOPOLOGIES`.
    """
    topology = TOPOLOGIES[os.environ.get("JOIN_SESSION_TEST_TOPOLOGY", "standalone")]()
    asyncio.run(topology.start())
    try:
        with running_replicas(topology.url, 3, grace=1, code_rest=1, **DIGITS) as started:
            asyncio.run(topology.disturb("000000"))
            yield started
    finally:
        asyncio.run(topology.stop())
