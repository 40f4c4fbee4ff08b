"""Growing, randomized pauses between attempts."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Exponential backoff with jitter, in seconds.

    The pauses double from ``first`` up to ``longest``. Each is drawn from the upper half of its range, so that callers
    that failed at the same moment do not retry at the same moment.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = min(first, longest)
        self._longest = longest
        self._pause = self._first

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return random.uniform(pause / 2, pause)  # noqa: S311 - jitter

    def reset(self) -> None:
        """Start again with the first pause, after an attempt that succeeded."""
        self._pause = self._first
