"""The heartbeat of connections: a PING at intervals, and a time within which the PONG must arrive.

https://github.com/socketio/engine.io-protocol#heartbeat
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, Protocol, TypeVar

from app.socketio_server.timers import Clock, TimerQueue

__all__ = ["Heartbeats", "Peer"]

# The delay of a timer, in seconds, up to which the client gets no additional time.
_MAX_DELAY_SECONDS: Final = 0.01


class Peer(Protocol):
    """A connection. ``ping`` is called when a PING is due, ``missed`` if it was not answered in time."""

    def ping(self) -> None: ...
    def missed(self) -> None: ...


P = TypeVar("P", bound=Peer)


class Heartbeats(Generic[P]):
    """The heartbeats of all connections of a server.

    While reading from a client pauses, its PONG may be among the unread data: its time starts again with ``resume``.
    """

    def __init__(self, interval: float, timeout: float, clock: Clock | None = None) -> None:
        self._clock = clock
        self._pings: TimerQueue[P] = TimerQueue(interval, self._ping, clock)
        self._answers: TimerQueue[P] = TimerQueue(timeout, self._missed, clock)
        # The peers whose reading pauses, and whether a PING was sent meanwhile.
        self._held: dict[P, bool] = {}

    def start(self, peer: P) -> None:
        """Start the heartbeat of ``peer``."""
        self._pings.add(peer)

    def stop(self, peer: P) -> None:
        """Stop the heartbeat of ``peer``."""
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
        """Note that reading from ``peer`` pauses."""
        self._held[peer] = self._answers.discard(peer) or self._held.get(peer, False)

    def resume(self, peer: P) -> None:
        """Note that reading from ``peer`` continues."""
        if self._held.pop(peer, False):
            self._answers.add(peer)

    def is_held(self, peer: P) -> bool:
        """Return whether reading from ``peer`` pauses."""
        return peer in self._held

    def is_overdue(self, peer: P) -> bool:
        """Return whether the PONG of ``peer`` is late."""
        return self._answers.is_due(peer)

    def _ping(self, peer: P, due: float) -> None:
        if peer in self._held:
            self._held[peer] = True
        else:
            # Measured from the due time, so that small delays of the loop do not accumulate.
            now = (self._clock or asyncio.get_running_loop()).time()
            self._answers.add(peer, since=max(due, now - _MAX_DELAY_SECONDS))
        peer.ping()

    def _missed(self, peer: P, _due: float) -> None:
        peer.missed()
