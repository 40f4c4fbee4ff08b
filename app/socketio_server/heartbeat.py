"""The heartbeat of one connection: a PING now and then, and a PONG within a time.

https://github.com/socketio/engine.io-protocol#heartbeat
"""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, Final, Protocol

__all__ = ["Clock", "Heartbeat"]

# Seconds by which a timer may be late without the client getting more time for it.
_MAX_DELAY_SECONDS: Final = 0.01


class Clock(Protocol):
    """What a heartbeat needs of the event loop."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], Any], /) -> TimerHandle: ...


class Heartbeat:
    """Calls ``ping`` when it is due and ``missed`` when it is not answered in time, until ``stop``.

    While a client is not read from, its answer may lie behind what has not been read: the time for it starts again with
    ``resume``.
    """

    __slots__ = ("_clock", "_deadline", "_held_until", "_interval", "_missed", "_ping", "_pinged", "_timeout", "_timer")

    def __init__(
        self,
        clock: Clock,
        interval: float,
        timeout: float,
        *,
        ping: Callable[[], None],
        missed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._ping = ping
        self._missed = missed
        self._pinged = False
        self._deadline = 0.0
        self._held_until = 0.0
        self._timer = clock.call_at(clock.time() + interval, self._beat)

    @property
    def overdue(self) -> bool:
        """Whether the client should have answered a PING by now."""
        return self._pinged and self._clock.time() >= self._due()

    def answered(self) -> None:
        """The client has sent a PONG."""
        if self._pinged:
            self._pinged = False
            self._timer.cancel()
            self._timer = self._clock.call_at(self._clock.time() + self._interval, self._beat)

    def hold(self) -> None:
        """Nothing is read from the client from now on."""
        self._held_until = float("inf")

    def resume(self) -> None:
        """The client is read from again."""
        self._held_until = self._clock.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _beat(self) -> None:
        self._pinged = True
        # From when it was due rather than from now, so that small delays of the loop do not add up.
        self._deadline = max(self._timer.when(), self._clock.time() - _MAX_DELAY_SECONDS) + self._timeout
        self._timer = self._clock.call_at(self._deadline, self._check)
        self._ping()

    def _due(self) -> float:
        return max(self._deadline, min(self._held_until, self._clock.time()) + self._timeout)

    def _check(self) -> None:
        if self.overdue:
            self._missed()
        else:
            self._timer = self._clock.call_at(self._due(), self._check)
