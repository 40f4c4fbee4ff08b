"""Fixtures that conftest.py imports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN, Replica, running_replicas
from tests.harness.topologies import TOPOLOGIES, Topology

SHARED: Final[dict[str, Any]] = {"grace": 1, "code_rest": 1, "min_lifetime": 0.01}
"""The settings of replicas that tests share."""

_TOPOLOGY: Final = "JOIN_SESSION_TEST_TOPOLOGY"


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A Redis server on a loopback port that keeps its data over a restart."""
    async with RedisServer(aof=True) as server:
        yield server


@pytest.fixture(scope="session")
def service() -> Iterator[list[Replica]]:
    """Three replicas on one Redis, for all tests that break nothing. Loopback has no rate limits.

    Two of them send traces, which are searched for private data at the end; the third one sends none.
    """
    from tests.harness.otlp import receiver  # Imports protobuf, which takes longer than a small test.

    topology = _chosen()
    asyncio.run(topology.start())
    try:
        with (
            receiver() as traces,
            running_replicas(topology.url, 2, environment=traces.environment, **SHARED) as traced,
            running_replicas(topology.url, 1, **SHARED) as untraced,
        ):
            asyncio.run(topology.disturb(UNKNOWN))
            yield [*traced, *untraced]
    finally:
        asyncio.run(topology.stop())


@asynccontextmanager
async def chosen_topology() -> AsyncIterator[Topology]:
    """Run the topology named by `JOIN_SESSION_TEST_TOPOLOGY`, by default a single server."""
    async with _chosen() as topology:
        await topology.disturb(UNKNOWN)
        yield topology


def _chosen() -> Topology:
    return TOPOLOGIES[os.environ.get(_TOPOLOGY, "standalone")]()
