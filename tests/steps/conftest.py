"""Fixtures: a Redis for all tests of the steps, and a session for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.redis_client.client import RedisClient
from app.store.sessions import RedisSessions
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.steps.room import Room

__all__ = ["empty", "redis", "room"]


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    server = RedisServer(unix=True)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def empty(redis: RedisServer) -> AsyncIterator[Room]:
    """A code without a session."""
    client = RedisClient.connect(redis.url(), timeout=10)
    sessions = RedisSessions(client, KEYS, quarantine=60, max_listed=200)
    yield Room(client, sessions)
    await sessions.close()
    await client.close()


@pytest.fixture
async def room(empty: Room) -> Room:
    """A session with two movies and nobody in it."""
    return await empty.create()
