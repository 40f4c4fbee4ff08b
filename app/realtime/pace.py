"""When a room reads its session and sends it: the more bytes that takes, the less often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

_MIN_INTERVAL_SECONDS: Final = 0.05
_MAX_INTERVAL_SECONDS: Final = 2.0
_UPDATE_BYTES_PER_SECOND: Final = 50_000_000
_WELCOME_BYTES_PER_SECOND: Final = 2_000_000


class Pace:
    """The earliest times of a room's next update to all members, and of its next welcome to those who have just joined.

    ``clock``: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_update = 0.0
        self._next_welcome = 0.0

    def is_update_due(self) -> bool:
        return self._clock() >= self._next_update

    def remaining(self, *, newcomers: bool) -> float:
        """Return the seconds until there may be an update, or a welcome where there are newcomers; 0 or less: now."""
        due = min(self._next_update, self._next_welcome) if newcomers else self._next_update
        return due - self._clock()

    def welcomed(self, size: int) -> None:
        """A message of ``size`` bytes was sent to newcomers."""
        self._next_welcome = self._clock() + min(size / _WELCOME_BYTES_PER_SECOND, _MAX_INTERVAL_SECONDS)

    def updated(self, size: int, sockets: int) -> None:
        """A message of ``size`` bytes was sent to so many sockets, newcomers or not."""
        self.welcomed(size)
        interval = size * sockets / _UPDATE_BYTES_PER_SECOND
        self._next_update = self._clock() + min(max(interval, _MIN_INTERVAL_SECONDS), _MAX_INTERVAL_SECONDS)
