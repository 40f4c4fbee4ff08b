"""The service in the test's own process and event loop: quick to start, for settings that few tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.server import run_replica
from app.settings import Settings

__all__ = ["Here", "served_here"]


@dataclass(frozen=True)
class Here:
    """Where a replica listens, in the words of `tests.harness.service.Replica`."""

    port: int
    internal_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"


@asynccontextmanager
async def served_here(redis_url: str, count: int = 1, **settings: Any) -> AsyncIterator[list[Here]]:
    """Replicas that share a Redis; loopback is free of budgets and caps unless `unlimited_addresses` says otherwise."""
    given = {
        "host": "127.0.0.1",
        "internal_host": "127.0.0.1",
        "port": 0,
        "internal_port": 0,
        "unlimited_addresses": "127.0.0.0/8",
        "drain_timeout": 0,
        "redis_url": redis_url,
        **settings,
    }
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(count):
            replica = await stack.enter_async_context(run_replica(Settings(_env_file=None, **given)))
            started.append(Here(replica.public.port, replica.internal.port))
        yield started
