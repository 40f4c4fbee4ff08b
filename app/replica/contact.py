"""Polls Redis: whether it answers, and data that only Redis has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from app.http.health import Health
from app.observability.losses import Losses
from app.observability.metrics import Metrics
from app.redis_client.errors import StoreError, StoreUnavailable
from app.replica.assembly import RedisPart
from app.replica.refusal import RedisRefusal
from app.sessions.errors import SessionError

__all__ = ["Contact"]

_INTERVAL_SECONDS: Final = 0.5


class Contact:
    """Polls Redis and stores the result in ``health`` and the metrics."""

    def __init__(
        self,
        redis: RedisPart,
        health: Health,
        metrics: Metrics,
        losses: Losses,
        refusal: RedisRefusal,
        *,
        on_loss: Callable[[], None],
    ) -> None:
        """``on_loss`` is called when Redis has lost all data."""
        self._redis = redis
        self._health = health
        self._metrics = metrics
        self._losses = losses
        self._refusal = refusal
        self._on_loss = on_loss
        self._answered = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until Redis has answered once, at most ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._answered.wait()

    async def keep(self) -> None:
        """Poll forever; read the deployment's secret and the number of sessions as soon as Redis answers."""
        while True:
            is_refused = False
            try:
                await self._poll()
                self._health.contacted = self._health.redis_up = True
                self._answered.set()
            except (StoreError, SessionError) as error:
                self._health.redis_up = False
                is_refused = _is_refusal(error)
            self._metrics.redis_up.set(self._health.redis_up)
            self._metrics.redis_refused.set(is_refused)
            self._losses.log()
            await self._refusal.update(is_refused=is_refused)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _poll(self) -> None:
        redis = self._redis
        # At once: that wakes the process up for one answer rather than for four.
        _, _, is_lost, count = await asyncio.gather(
            redis.client.ping(), redis.secret.keep(), redis.marker.is_lost(), redis.sessions.count()
        )
        if is_lost:
            self._losses.note("everything")
            self._on_loss()
        self._metrics.live_sessions.set(count)


def _is_refusal(error: StoreError | SessionError) -> bool:
    """Return whether Redis refused the password or the user's rights."""
    cause = error.__cause__ if isinstance(error, SessionError) else error
    return isinstance(cause, StoreUnavailable) and cause.reason == "denied"
