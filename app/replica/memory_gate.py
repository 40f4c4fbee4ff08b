"""Refuses connections while too much memory is in use."""

from __future__ import annotations

import ctypes
from typing import Final

from app.replica.caps import CONNECTION_BYTES, MEMORY_SHARE
from app.replica.memory import Memory

__all__ = ["MemoryGate"]

# Ticks from one time that memory is given back to the next. That takes some milliseconds.
_BETWEEN: Final = 40
# The part of the limit by which a process may grow beyond its former most before that counts as a new most.
_TOLERANCE: Final = 0.02


class MemoryGate:
    """How many more connections the memory is enough for, as of the last ``tick``.

    A process keeps most pages that its objects have freed, and uses them again. What the kernel counts hardly falls
    when connections end, so a bound on that alone would refuse connections for ever. Therefore what was in use when
    that was most, but for what was at the start, is taken to belong to the connections of that time, and to have been
    freed with those that have ended since. Where that is wrong the process grows beyond its former most, and then what
    the kernel counts is true again.

    The C library keeps what messages have taken, too. It is told to give that back while there is no room.
    """

    reason = "too little memory"
    longest_wait: Final = 30
    lasts: Final = True

    def __init__(self, memory: Memory) -> None:
        self.limit = memory.limit
        self._memory = memory
        self._at_start = self._most = self.in_use = memory.used()
        self._open_at_most = self._open = self._left = 0
        self._kept_for = 0
        # Clients may come before the first interval is over.
        self.tick(0)

    def tick(self, opened: int) -> None:
        """Measure; ``opened`` is the number of open connections."""
        self._kept_for += 1
        if self._left <= 0 and self._kept_for >= _BETWEEN:
            self._kept_for = 0
            _give_back()
        try:
            used = self._memory.used()
        except (OSError, KeyError, ValueError):
            # No file descriptor is free, for example: what was measured last stands.
            return
        beyond = used - self._most
        if beyond > 0 and (opened >= self._open_at_most or beyond > self.limit * _TOLERANCE):
            self._most, self._open_at_most, beyond = used, opened, 0
        kept = opened / self._open_at_most if self._open_at_most else 1
        modelled = self._at_start + round((self._most - self._at_start) * kept) + max(0, beyond)
        self.in_use = min(used, modelled)
        self._open = opened
        self._left = (round(self.limit * MEMORY_SHARE) - self.in_use) // CONNECTION_BYTES

    def refuses(self, opened: int) -> bool:
        """Return whether there is no room for another connection besides those that are open."""
        return opened - self._open >= self._left


def _give_back() -> None:
    """Return free pages of the C library's heap to the kernel; glibc has a function for it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
