"""Things that all wait equally long, on one timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

__all__ = ["Clock", "TimerQueue"]

K = TypeVar("K")

# Event loops count in milliseconds: a timer may fire so much too early.
_RESOLUTION_SECONDS: Final = 0.001


class Clock(Protocol):
    """What a queue needs of the event loop."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], Any], /) -> asyncio.TimerHandle: ...


class TimerQueue(Generic[K]):
    """Calls ``due`` with each key, and the time when it was due, ``seconds`` after the key was added.

    A timer for each of ten thousand connections costs memory for each, and time whenever one is moved.
    """

    __slots__ = ("_clock", "_due", "_due_times", "_seconds", "_timer")

    def __init__(self, seconds: float, due: Callable[[K, float], None], clock: Clock | None = None) -> None:
        self._seconds = seconds
        self._due = due
        self._clock = clock
        # In the order in which they are due.
        self._due_times: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._due_times

    def add(self, key: K, *, since: float | None = None) -> None:
        """Let the time of ``key`` begin now, or ``since``, which is at most moments before that of an earlier key."""
        clock = self._clock or asyncio.get_running_loop()
        self._due_times.pop(key, None)
        self._due_times[key] = due = (clock.time() if since is None else since) + self._seconds
        if self._timer is None:
            self._timer = clock.call_at(due, self._run)

    def discard(self, key: K) -> bool:
        """Forget ``key``; return whether it was waiting."""
        known = self._due_times.pop(key, None) is not None
        if not self._due_times and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return known

    def is_due(self, key: K) -> bool:
        """Return whether the time of ``key`` has run out and ``due`` is about to be called."""
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
            # What was called may have added keys, or taken the last one.
            if self._timer is not None:
                self._timer.cancel()
            first = next(iter(self._due_times.values()), None)
            self._timer = None if first is None else clock.call_at(first, self._run)
