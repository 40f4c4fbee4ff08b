"""A timer for the time between two requests of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["IdleTimer"]


class IdleTimer:
    """A timer that may be started and stopped for each request.

    Setting and cancelling a timer of the event loop takes several microseconds, so one is set for many requests: if it
    fires while the time is not over, it is set again, and if the timer was stopped, by the next start.
    """

    __slots__ = ("_handle", "_loop", "_seconds", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None
        # A loop time; 0 while the timer is stopped.
        self._until = 0.0

    def start(self, on_idle: Callable[[], None]) -> None:
        """Call ``on_idle`` unless the timer is stopped within its seconds."""
        self._until = self._loop.time() + self._seconds
        if self._handle is None:
            self._handle = self._loop.call_at(self._until, self._fire, on_idle)

    def stop(self) -> None:
        self._until = 0.0

    def close(self) -> None:
        """Stop the timer, which is not used any more."""
        self._until = 0.0
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self, on_idle: Callable[[], None]) -> None:
        self._handle = None
        if self._until > self._loop.time():
            self._handle = self._loop.call_at(self._until, self._fire, on_idle)
        elif self._until:
            on_idle()
