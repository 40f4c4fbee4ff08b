"""The cluster and the clients that all tests on it share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, cluster, say
from tests.harness.node import NodeClients, node_clients


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with cluster() as made:
        yield made
        if request.session.testsfailed:
            await made.report()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[NodeClients]:
    async with node_clients() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prometheus(kind: Cluster) -> AsyncIterator[str]:
    say("installing the monitoring")
    async with kind.monitored() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def release(kind: Cluster) -> AsyncIterator[Cluster]:
    say("installing the chart")
    await kind.install()
    yield kind
