"""Commands to Redis, timed and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from functools import cache
from time import perf_counter
from typing import Any

from app.observability.metrics import Metrics, exemplar
from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import StoreError, StoreUnavailable
from app.redis_client.link import Argument
from app.redis_client.topology import Topology

__all__ = ["CountedConnection"]


class CountedConnection(RedisClient):
    """A call is named by its script or command, and a batch ``pipeline``."""

    def __init__(self, topology: Topology, *, timeout: float, metrics: Metrics) -> None:
        super().__init__(topology, timeout=timeout)
        self._seconds = cache(metrics.redis_seconds.labels)
        self._errors = metrics.redis_errors

    async def execute(self, *command: Argument) -> Any:
        return await self._timed(str(command[0]).lower(), super().execute(*command))

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Iterable[Argument] = ()) -> Any:
        return await self._timed(script.name, super().run(script, keys, args))

    async def batch(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        replies: list[Any] = await self._timed("pipeline", super().batch(commands))
        for reply in replies:
            if isinstance(reply, StoreError):
                self._count("pipeline", reply)
        return replies

    async def _timed(self, name: str, call: Awaitable[Any]) -> Any:
        started = perf_counter()
        try:
            return await call
        except StoreError as error:
            self._count(name, error)
            raise
        finally:
            self._seconds(name).observe(perf_counter() - started, exemplar())

    def _count(self, name: str, error: StoreError) -> None:
        # What a script or a command fails with may be any word.
        reason = error.reason if isinstance(error, StoreUnavailable) else "failed"
        self._errors.labels(name, reason).inc()
