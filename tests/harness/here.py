"""The service in the test's own process and event loop, which starts quickly."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import generate_latest

from app.observability.logging import JSONFormatter
from app.observability.metrics import Metrics
from app.replica.replica import Replica, run_replica
from app.settings import Settings
from tests.harness.privacy import assert_nothing_private
from tests.harness.service import LETTERS, chosen_lanes

__all__ = ["Here", "served_here"]


@dataclass(frozen=True)
class Here:
    """The ports of a replica; the interface is that of `tests.harness.service.Replica`."""

    port: int
    internal_port: int
    replica: Replica

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"


@asynccontextmanager
async def served_here(redis_url: str, count: int = 1, **settings: Any) -> AsyncIterator[list[Here]]:
    """Run replicas that share a Redis. No limits apply to loopback unless `unlimited_addresses` is given.

    By default codes have ten letters. At the end the logs and metrics are searched for private data.
    """
    given = {
        "host": "127.0.0.1",
        "internal_host": "127.0.0.1",
        "port": 0,
        "internal_port": 0,
        "unlimited_addresses": "127.0.0.0/8",
        "drain_timeout": 0,
        "redis_url": redis_url,
        **LETTERS,
        **chosen_lanes(),
        **settings,
    }
    async with AsyncExitStack() as stack:
        stack.enter_context(_searched_log())
        started = []
        for _ in range(count):
            replica = await stack.enter_async_context(run_replica(Settings(_env_file=None, **given)))
            started.append(Here(replica.public.port, replica.internal.port, replica))
            stack.callback(_search, replica.metrics)
        yield started


@contextmanager
def _searched_log() -> Iterator[None]:
    """Collect the log lines of all levels; at the end search them for private data."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JSONFormatter(tracebacks=True))
    logger = logging.getLogger("app")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert_nothing_private(text.getvalue())


def _search(metrics: Metrics) -> None:
    assert_nothing_private(generate_latest(metrics.registry).decode())
