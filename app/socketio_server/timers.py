"""Time-outs of equal length on one timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

__all__ = ["Clock", "TimerQueue"]

K = TypeVar("K")

# Event loops use milliseconds: a timer may run this much too early.
_RESOLUTION_SECONDS: Final = 0.001


class Clock(Protocol):
    """The part of the event loop that a queue uses."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], Any], /) -> asyncio.TimerHandle: ...


class TimerQueue(Generic[K]):
    """Calls ``due`` with each key and its due time, ``seconds`` after the key was added.

    A timer for each of ten thousand connections would cost memory, and time for every restart.
    """

    __slots__ = ("_clock", "_due", "_due_times", "_seconds", "_timer")

    def __init__(self, seconds: float, due: Callable[[K, float], None], clock: Clock | None = None) -> None:
        self._seconds = seconds
        self._due = due
        self._clock = clock
        # In order of their due times.
        self._due_times: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._due_times

    def add(self, key: K, *, since: float | None = None) -> None:
        """Start the time of ``key`` now, or at ``since``, at most slightly before that of an earlier key."""
        clock = self._clock or asyncio.get_running_loop()
        self._due_times.pop(key, None)
        self._due_times[key] = due = (clock.time() if since is None else since) + self._seconds
        if self._timer is None:
            self._timer = clock.call_at(due, self._run)

    def discard(self, key: K) -> bool:
        """Remove ``key``; return whether it was waiting."""
        known = self._due_times.pop(key, None) is not None
        if not self._due_times and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return known

    def is_due(self, key: K) -> bool:
        """Return whether the time of ``key`` is over and ``due`` is about to be called."""
        clock = self._clock or asyncio.get_running_loop()
        return self._due_times.get(key, float("inf")) <= clock.time()

    def _run(self) -> None:
        clock = self._clock or asyncio.get_running_loop()
        limit = clock.time() + _RESOLUTION_SECONDS
        try:
            while self._due_times:
                key, due = next(iter(self._due_times.items()))
                if due > limit:
                    break
                del self._due_times[key]
                self._due(key, due)
        finally:
            # The callbacks may have added or removed keys.
            if self._timer is not None:
                self._timer.cancel()
            first = next(iter(self._due_times.values()), None)
            self._timer = None if first is None else clock.call_at(first, self._run)
