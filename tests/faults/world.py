"""Three replicas that share a Redis, with a network between them and around them that can be broken anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.harness.people import Api
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import Replica

__all__ = ["World", "world"]


@dataclass
class World:
    """`links` are between each replica and Redis; clients come in by `entrances`, each of which prefers one replica."""

    redis: RedisServer
    links: list[FaultProxy]
    replicas: list[Replica]
    entrances: list[FaultProxy]
    api: Api

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{entrance.port}" for entrance in self.entrances]

    def behind(self, entrance: int) -> Replica:
        """The replica that new clients of an entrance come to."""
        return next(replica for replica in self.replicas if replica.port == self.entrances[entrance].target)


@asynccontextmanager
async def world(count: int, **settings: Any) -> AsyncIterator[World]:
    """`count` replicas with `settings` on a Redis that has on disk what it acknowledges."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer(aof=True))
        links = [await stack.enter_async_context(FaultProxy(redis.port)) for _ in range(count)]
        urls = [f"redis://127.0.0.1:{link.port}" for link in links]
        yield await stack.enter_async_context(replicas_of(redis, urls, links, **settings))


@asynccontextmanager
async def replicas_of(
    redis: RedisServer, urls: Sequence[str], links: list[FaultProxy], **settings: Any
) -> AsyncIterator[World]:
    """A replica with `settings` for each URL of Redis."""
    async with AsyncExitStack() as stack:
        replicas = [Replica(url, **settings) for url in urls]
        for replica in replicas:
            stack.callback(replica.close)
        await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in replicas))
        ports = [replica.port for replica in replicas]
        entrances = [
            await stack.enter_async_context(FaultProxy(*ports[first:], *ports[:first])) for first in range(len(ports))
        ]
        api = Api(replicas)
        stack.push_async_callback(api.close)
        yield World(redis, links, replicas, entrances, api)
