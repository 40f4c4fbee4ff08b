"""The parameters of a load, and the measurements made while it runs."""

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
    """The parameters of a load. ``clients`` is per session, ``rate`` is changes per second and session.

    Times are in seconds. ``ramp``: the time over which the clients join. ``deadline``: the time within which every
    change must be acknowledged, and received by all clients. ``patches``: clients ask for patches.
    """

    urls: tuple[str, ...]
    sessions: int
    clients: int
    duration: float
    rate: float = 1.0
    ramp: float = 10.0
    deadline: float = 10.0
    seed: int = 0
    patches: bool = False
    create_key: str | None = None


@dataclass(slots=True)
class Measured:
    """Durations in seconds, counts of events, and when the phase with the changes began and ended.

    ``lag`` is the delay of timers in this process. Measured durations are not more accurate than that.
    """

    join: array[float] = field(default_factory=lambda: array("d"))
    socket_join: array[float] = field(default_factory=lambda: array("d"))
    ack: array[float] = field(default_factory=lambda: array("d"))
    lag: array[float] = field(default_factory=lambda: array("d"))
    refusals: Counter[str] = field(default_factory=Counter)
    failed_joins: Counter[str] = field(default_factory=Counter)
    patches: int = 0
    disconnects: int = 0
    began: float = 0.0
    ended: float = 0.0
    updates_before: int = 0
    updates_after: int = 0


class Run:
    """What all clients of a load share.

    ``over`` tells them to make no more changes. ``turns`` limits how many clients do the same thing at once.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.measured = Measured()
        self.over = asyncio.Event()
        self.turns = asyncio.Semaphore(_AT_ONCE)
