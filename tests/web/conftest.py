"""Fixtures of the tests of the demo page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.chromium import chromium
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, Replica, replicas
from tests.web.place import Place


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def opened_place() -> AsyncIterator[Place]:
    """What takes long to start, for all tests."""
    async with (
        RedisServer(aof=True) as redis,
        replicas(redis.url(), 2, demo=True, grace=30, **DIGITS) as started,
        FaultProxy(started[1].port) as network,
        chromium() as browser,
    ):
        yield Place(browser, redis, started, network)


@pytest_asyncio.fixture
async def demo(redis_server: RedisServer) -> AsyncIterator[Replica]:
    """A replica that serves the page."""
    async with replicas(redis_server.url(), 1, demo=True, **DIGITS) as [replica]:
        yield replica


@pytest_asyncio.fixture(loop_scope="session")
async def place(opened_place: Place) -> AsyncIterator[Place]:
    """With nobody in it: the browsers of the test before are closed."""
    yield opened_place
    await opened_place.browser.close_contexts()
