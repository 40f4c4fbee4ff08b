"""Fixtures: one replica in this process, its HTTP API and its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.fixtures import SHARED, chosen_topology
from tests.harness.here import Here, served_here
from tests.harness.node import NodeClients
from tests.harness.people import Api, People, node

__all__ = ["api", "node", "people", "service"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service() -> AsyncIterator[list[Here]]:
    """A replica for all tests of a module that break nothing; a module whose rules are about processes has its own."""
    async with chosen_topology() as topology, served_here(topology.url, **SHARED) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(service: list[Here]) -> AsyncIterator[Api]:
    """Its HTTP API."""
    opened = Api(service)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def people(node: NodeClients, service: list[Here]) -> AsyncIterator[People]:
    """Its clients; gone at the end of the test."""
    gathered = People(node, service)
    yield gathered
    await gathered.close()
