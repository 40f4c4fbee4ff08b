"""Fixtures for conftest.py to import: a fresh server for each test that asks for one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import pytest

from tests.harness.otlp import receiver
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, UNKNOWN, Replica, running_replicas
from tests.harness.topologies import TOPOLOGIES, Topology

SHARED: Final[dict[str, Any]] = {"grace": 1, "code_rest": 1, "min_lifetime": 0.01}
"""The settings of replicas that many tests share."""

_TOPOLOGY: Final = "JOIN_SESSION_TEST_TOPOLOGY"


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A server on a loopback port that keeps its data over a restart."""
    async with RedisServer(aof=True) as server:
        yield server


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[list[Replica]]:
    """Three replicas on one Redis, for all tests that break nothing; loopback is free of budgets."""
    if _TOPOLOGY in os.environ:
        # Started between the tests it would starve sentinels, who are not patient, and so cause a failover.
        request.getfixturevalue("service_with_digits")
    with _serving() as started:
        yield started


@pytest.fixture(scope="session")
def service_with_digits() -> Iterator[list[Replica]]:
    """As `service`, with codes of six digits, as the service gives them out by default."""
    with _serving(**DIGITS) as started:
        yield started


@asynccontextmanager
async def chosen_topology() -> AsyncIterator[Topology]:
    """The way of running Redis that `JOIN_SESSION_TEST_TOPOLOGY` chooses, else a single server."""
    async with _chosen() as topology:
        await topology.disturb(UNKNOWN)
        yield topology


def _chosen() -> Topology:
    return TOPOLOGIES[os.environ.get(_TOPOLOGY, "standalone")]()


@contextmanager
def _serving(**settings: Any) -> Iterator[list[Replica]]:
    """`JOIN_SESSION_TEST_TOPOLOGY` chooses another way of running Redis, see `tests.harness.topologies.TOPOLOGIES`.

    Two of the replicas send traces, in which nothing private may be in the end; the third one does without.
    """
    topology = _chosen()
    asyncio.run(topology.start())
    settings = {**SHARED, **settings}
    try:
        with (
            receiver() as traces,
            running_replicas(topology.url, 2, environment=traces.environment, **settings) as traced,
            running_replicas(topology.url, 1, **settings) as untraced,
        ):
            asyncio.run(topology.disturb(UNKNOWN))
            yield [*traced, *untraced]
    finally:
        asyncio.run(topology.stop())
