"""Whether Redis answers, and what only Redis knows."""

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
    """Keeps asking Redis; ``health`` and the metrics have the last answer."""

    def __init__(self, redis: RedisPart, health: Health, metrics: Metrics) -> None:
        self._redis = redis
        self._health = health
        self._metrics = metrics
        self._made = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until Redis has answered once, at most ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._made.wait()

    async def keep(self) -> None:
        """Ask forever, and learn what only Redis knows as soon as it answers."""
        while True:
            try:
                await self._redis.client.ping()
                await self._redis.secret.keep()
                await self._redis.sessions.forget_expired()
                self._metrics.live_sessions.set(await self._redis.sessions.count())
                self._health.contacted = self._health.redis_up = True
                self._made.set()
            except (StoreError, SessionError):
                self._health.redis_up = False
            self._metrics.redis_up.set(self._health.redis_up)
            await asyncio.sleep(_INTERVAL_SECONDS)
