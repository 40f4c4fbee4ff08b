"""The intervals at which a room sends its session, which grow with the bytes to send and with the sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

_MIN_INTERVAL_SECONDS: Final = 0.05
_MAX_INTERVAL_SECONDS: Final = 2.0
_UPDATE_BYTES_PER_SECOND: Final = 50_000_000
# Writing a message to a socket takes about 10 µs, however small it is: this is a twentieth of the time.
_SECONDS_PER_SOCKET: Final = 0.0002
_WELCOME_BYTES_PER_SECOND: Final = 2_000_000


class Pace:
    """When a room may send its next update to all members, and its next welcome to newcomers.

    ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_update = 0.0
        self._next_welcome = 0.0

    def is_update_due(self) -> bool:
        return self._clock() >= self._next_update

    def remaining(self, *, newcomers: bool) -> float:
        """Return the seconds until an update, or with ``newcomers`` a welcome, may be sent; 0 or less: now."""
        due = min(self._next_update, self._next_welcome) if newcomers else self._next_update
        return due - self._clock()

    def welcomed(self, size: int) -> None:
        """Note that messages of ``size`` bytes were sent to each of the newcomers."""
        self._next_welcome = self._clock() + min(size / _WELCOME_BYTES_PER_SECOND, _MAX_INTERVAL_SECONDS)

    def updated(self, size: int, sockets: int) -> None:
        """Note that ``size`` bytes in all were sent to so many sockets."""
        self.welcomed(size // sockets)
        interval = max(size / _UPDATE_BYTES_PER_SECOND, sockets * _SECONDS_PER_SOCKET)
        self._next_update = self._clock() + min(max(interval, _MIN_INTERVAL_SECONDS), _MAX_INTERVAL_SECONDS)
