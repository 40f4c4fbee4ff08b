"""Counts and times the calls to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from time import perf_counter

from app.observability.metrics import Metrics
from app.redis_client.errors import StoreError, StoreUnavailable
from app.redis_client.observer import Ended, Operation

__all__ = ["CommandMetrics"]


class CommandMetrics:
    """An observer of ``RedisClient``. The label is the name of the script or command, or ``pipeline``."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = cache(metrics.redis_seconds.labels)
        self._errors = metrics.redis_errors
        self._exemplar = metrics.exemplar

    def started(self, operation: Operation) -> Ended:
        name = operation.script or operation.command.lower()
        started = perf_counter()

        def ended(errors: Sequence[BaseException]) -> None:
            for error in errors:
                self._count(name, error)
            self._seconds(name).observe(perf_counter() - started, self._exemplar())

        return ended

    def _count(self, name: str, error: BaseException) -> None:
        if isinstance(error, StoreError):
            # The code of a failed command or script may be any word.
            reason = error.reason if isinstance(error, StoreUnavailable) else "failed"
            self._errors.labels(name, reason).inc()
