"""What rooms and handlers tell whoever counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["Observer"]


class Observer:
    """Every method does nothing until overridden; none may block or raise."""

    def handled(self, event: str, result: str, seconds: float) -> None:
        """An event was acknowledged: with ``ok``, or the code of an error. ``event``: one of ours, or ``unknown``."""

    def recovery(self, result: Literal["recovered", "restored", "unknown", "void", "refused", "failed"]) -> None:
        """A socket came with a recovery id. ``restored``: its membership was, but it has missed something."""

    def delivered(self, sockets: int, commits: Sequence[int]) -> None:
        """A room has shown its newest state to sockets, or had done so before it heard of a change (0).

        ``commits``: when what they see was changed, Unix milliseconds by Redis's clock.
        """

    def resynced(self, cause: Literal["gap", "heartbeat", "loss"]) -> None:
        """A session is read again because something was missed, or is lost."""

    def lagging(self, versions: int) -> None:
        """So far behind Redis is the session that is furthest behind here."""
