"""Remembers which codes an address has found: those it may miss for nothing, because it learns nothing by that."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["FoundCodes"]

_MAX: Final = 10_000
# Afterwards the code may be that of another session.
_SECONDS: Final = 600.0


class FoundCodes:
    """The latest finds of the last ten minutes. ``now``: the loop time."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add(self, address: str, code: str, now: float) -> None:
        self._until[address, code] = now + _SECONDS
        self._until.move_to_end((address, code))
        if len(self._until) > _MAX:
            self._until.popitem(last=False)

    def has(self, address: str, code: str, now: float) -> bool:
        return self._until.get((address, code), now) > now
