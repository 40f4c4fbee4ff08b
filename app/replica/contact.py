"""Polls Redis: whether it answers, and data that only Redis has."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from app.http.health import Health
from app.observability.metrics import Metrics
from app.redis_client.errors import StoreError
from app.replica.assembly import RedisPart
from app.sessions.errors import SessionError

__all__ = ["Contact"]

_INTERVAL_SECONDS: Final = 0.5


class Contact:
    """Polls Redis and stores the result in ``health`` and the metrics."""

    def __init__(self, redis: RedisPart, health: Health, metrics: Metrics) -> None:
        self._redis = redis
        self._health = health
        self._metrics = metrics
        self._answered = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until Redis has answered once, at most ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._answered.wait()

    async def keep(self) -> None:
        """Poll forever; read the deployment's secret and the number of sessions as soon as Redis answers."""
        while True:
            try:
                await self._redis.client.ping()
                await self._redis.secret.keep()
                await self._redis.sessions.forget_expired()
                self._metrics.live_sessions.set(await self._redis.sessions.count())
                self._health.contacted = self._health.redis_up = True
                self._answered.set()
            except (StoreError, SessionError):
                self._health.redis_up = False
            self._metrics.redis_up.set(self._health.redis_up)
            await asyncio.sleep(_INTERVAL_SECONDS)
