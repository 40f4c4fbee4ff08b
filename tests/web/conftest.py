"""Fixtures of the tests of the demo page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.chromium import chromium
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, replicas
from tests.web.place import Place


@pytest.fixture
async def place(redis_server: RedisServer) -> AsyncIterator[Place]:
    async with (
        replicas(redis_server.url(), 2, demo=True, grace=4, **DIGITS) as started,
        FaultProxy(started[1].port) as network,
        chromium() as browser,
    ):
        yield Place(browser, started, network)
