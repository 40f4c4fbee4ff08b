"""The heartbeat of connections: a PING now and then, and a PONG within a time.

https://github.com/socketio/engine.io-protocol#heartbeat
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, Protocol, TypeVar

from app.socketio_server.timers import Clock, TimerQueue

__all__ = ["Heartbeats", "Peer"]

# Seconds by which a timer may be late without the client getting more time for it.
_MAX_DELAY_SECONDS: Final = 0.01


class Peer(Protocol):
    """A connection: ``ping`` is called when a PING is due, ``missed`` when it was not answered in time."""

    def ping(self) -> None: ...
    def missed(self) -> None: ...


P = TypeVar("P", bound=Peer)


class Heartbeats(Generic[P]):
    """The heartbeats of all connections of a server.

    While a client is not read from, its answer may lie behind what has not been read: the time for it starts again with
    ``resume``.
    """

    def __init__(self, interval: float, timeout: float, clock: Clock | None = None) -> None:
        self._clock = clock
        self._pings: TimerQueue[P] = TimerQueue(interval, self._ping, clock)
        self._answers: TimerQueue[P] = TimerQueue(timeout, self._missed, clock)
        # Those that are not read from, and whether they have been pinged.
        self._held: dict[P, bool] = {}

    def start(self, peer: P) -> None:
        """Ping ``peer`` from now on."""
        self._pings.add(peer)

    def stop(self, peer: P) -> None:
        """Forget ``peer``."""
        self._pings.discard(peer)
        self._answers.discard(peer)
        self._held.pop(peer, None)

    def answered(self, peer: P) -> None:
        """Note that ``peer`` has sent a PONG."""
        if self._held.get(peer):
            self._held[peer] = False
            self._pings.add(peer)
        elif self._answers.discard(peer):
            self._pings.add(peer)

    def hold(self, peer: P) -> None:
        """Note that nothing is read from ``peer`` from now on."""
        self._held[peer] = self._answers.discard(peer) or self._held.get(peer, False)

    def resume(self, peer: P) -> None:
        """Note that ``peer`` is read from again."""
        if self._held.pop(peer, False):
            self._answers.add(peer)

    def is_held(self, peer: P) -> bool:
        """Return whether nothing is read from ``peer``."""
        return peer in self._held

    def is_overdue(self, peer: P) -> bool:
        """Return whether ``peer`` should have answered a PING by now."""
        return self._answers.is_due(peer)

    def _ping(self, peer: P, due: float) -> None:
        if peer in self._held:
            self._held[peer] = True
        else:
            # From when it was due rather than from now, so that small delays of the loop do not add up.
            now = (self._clock or asyncio.get_running_loop()).time()
            self._answers.add(peer, since=max(due, now - _MAX_DELAY_SECONDS))
        peer.ping()

    def _missed(self, peer: P, _due: float) -> None:
        peer.missed()
