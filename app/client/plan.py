"""What a load is to do, and what was measured on the way."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Measured", "Plan", "Run"]

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``clients`` are those of each session, ``rate`` the changes a second and session; times in seconds.

    ``ramp``: over it the clients come; ``deadline``: within it everything must be answered, and seen by everybody.
    """

    urls: tuple[str, ...]
    sessions: int
    clients: int
    duration: float
    rate: float = 1.0
    ramp: float = 10.0
    deadline: float = 10.0
    seed: int = 0
    create_key: str | None = None


@dataclass(slots=True)
class Measured:
    """Seconds that things took, how often things happened, and when the part with the changes began and ended.

    ``lag`` is how late timers of this process ran: no time that it measures is truer than that.
    """

    join: array[float] = field(default_factory=lambda: array("d"))
    socket_join: array[float] = field(default_factory=lambda: array("d"))
    ack: array[float] = field(default_factory=lambda: array("d"))
    lag: array[float] = field(default_factory=lambda: array("d"))
    refusals: Counter[str] = field(default_factory=Counter)
    failed_joins: Counter[str] = field(default_factory=Counter)
    disconnects: int = 0
    began: float = 0.0
    ended: float = 0.0
    updates_before: int = 0
    updates_after: int = 0


class Run:
    """What all clients of a load share.

    ``over`` tells them to make no more changes; ``turns`` bound what only so many may do at once.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.measured = Measured()
        self.over = asyncio.Event()
        self.turns = asyncio.Semaphore(_AT_ONCE)
