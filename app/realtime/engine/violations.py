"""One log line for hostile traffic, not one for each packet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_INTERVAL = 10.0


class ViolationLog:
    """Logs each reason at most once in ten seconds, with the number of those left out meanwhile."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def report(self, reason: str, address: str) -> None:
        """Log that a connection from `address` was closed for `reason`, a word of a small set, never client data."""
        now = self._clock()
        last, suppressed = self._seen.get(reason, (-_INTERVAL, 0))
        if now - last < _INTERVAL:
            self._seen[reason] = (last, suppressed + 1)
            return
        self._seen[reason] = (now, 0)
        self._logger.warning("connection closed: %s (peer %s, %d more before)", reason, address, suppressed)
