"""The newest versions seen by this replica, by which it detects that Redis has lost changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.sessions.head import Head

__all__ = ["Watermarks", "is_below"]

# Higher than any version, and exact as a number of Lua.
_NEVER: Final = 2**53


class Watermarks:
    """The newest heads of the watched sessions. Versions grow within an epoch, and an epoch never returns."""

    def __init__(self) -> None:
        self._lowest: dict[str, dict[str, int]] = {}
        self._announced: dict[str, Head] = {}

    def watch(self, code: str) -> None:
        self._lowest.setdefault(code, {})

    def unwatch(self, code: str) -> None:
        self._lowest.pop(code, None)
        self._announced.pop(code, None)

    def note(self, code: str, head: Head) -> None:
        """Note that the session was seen at ``head``."""
        lowest = self._lowest.get(code)
        if lowest is None:
            return
        if head.epoch not in lowest:
            lowest.update(dict.fromkeys(lowest, _NEVER))
        lowest[head.epoch] = max(lowest.get(head.epoch, 0), head.version)

    def announced(self, code: str, head: Head) -> None:
        """Note that the session was announced to be at ``head``, perhaps later than it is read at a lower version."""
        if code in self._lowest:
            self._announced[code] = head

    def lowest(self, code: str) -> Mapping[str, int]:
        """Return, for each epoch seen, the lowest version that the session can have unless changes were lost."""
        lowest, announced = self._lowest.get(code, {}), self._announced.get(code)
        if announced is None or lowest.get(announced.epoch, _NEVER) >= announced.version:
            return lowest
        return {**lowest, announced.epoch: announced.version}

    def noted(self, code: str) -> Mapping[str, int]:
        """Return the lowest version that a read which begins now can find in each epoch, unless changes were lost.

        Changes that are announced during the read may be later than what it finds.
        """
        return dict(self._lowest.get(code, {}))


def is_below(head: Head, noted: Mapping[str, int]) -> bool:
    """Return whether changes were lost since these versions were noted."""
    return head.version < noted.get(head.epoch, 0)
