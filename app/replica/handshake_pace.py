"""Refuses handshakes that the event loop could not keep up with."""

from __future__ import annotations

from typing import Final

__all__ = ["HandshakePace"]

# Handshakes from one tick to the next: at the start, and at least and at most. A replica that is alone on a core opens
# and joins some 1,000 a second.
_FIRST_BUDGET: Final = 100
_MIN_BUDGET: Final = 25
_MAX_BUDGET: Final = 1_000
# Seconds by which the event loop may be late: with less there may be more handshakes, with more there are fewer.
_IN_TIME: Final = 0.05
_LATE: Final = 0.1


class HandshakePace:
    """How many handshakes may be accepted until the next ``tick``.

    Each brings a join and updates for others, so all clients at once, as after a restart, would keep the event loop
    busy for so long that probes and heartbeats fail.
    """

    reason = "too many handshakes"
    longest_wait: Final = 5
    lasts: Final = False

    def __init__(self) -> None:
        self.budget = self._left = _FIRST_BUDGET

    def tick(self, lag: float) -> None:
        """Begin anew; ``lag`` is by how many seconds the event loop was late since the last time.

        With few handshakes something else is the reason for that.
        """
        if lag > _LATE and self._left < self.budget // 2:
            self.budget = max(_MIN_BUDGET, self.budget // 2)
        elif lag < _IN_TIME and (self._left == 0 or self.budget < _FIRST_BUDGET):
            self.budget = min(_MAX_BUDGET, self.budget * 3 // 2)
        self._left = self.budget

    def refuses(self, _opened: int) -> bool:
        """Return whether there were enough; if not, count one more."""
        if self._left == 0:
            return True
        self._left -= 1
        return False
