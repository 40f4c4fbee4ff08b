"""What is measured for ``app/capacity.py``: how many people in how many sessions do how much, and what that takes."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

__all__ = ["HEARTBEAT_SECONDS", "LARGE", "SHAPES", "Measured", "Shape"]

HEARTBEAT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """``replicas``: how many of the two people connect to. ``changes``: a second in each session."""

    sessions: int
    size: int
    changes: float
    patches: bool
    replicas: int = 2

    @property
    def people(self) -> int:
        return self.sessions * self.size


SHAPES: Final = tuple(
    Shape(sessions, size, changes, patches, replicas)
    for patches in (False, True)
    for sessions, size, changes, replicas in (
        (200, 10, 1, 2),
        (20, 100, 2, 2),
        (1000, 2, 0.4, 2),
        (200, 10, 1, 1),
    )
)

LARGE: Final = tuple(Shape(1000, 10, 0.2, patches) for patches in (False, True))


@dataclass(frozen=True, slots=True)
class Measured:
    """Of a shape. Times on processors in seconds: of the replicas together, and of Redis.

    ``empty`` and ``idle``: a second, without people and with people who do nothing; ``change`` each, beyond that;
    ``join`` each; ``restored``: for each session of each replica after all subscriptions were lost; ``reconnected``:
    each of those who came back.
    """

    empty: float
    empty_redis: float
    empty_calls: float
    idle: float
    idle_redis: float
    idle_calls: float
    join: float
    join_redis: float
    join_calls: float
    change: float
    change_redis: float
    change_calls: float
    changes: float
    updates: float
    update_bytes: float
    redis_sent: float
    redis_received: float
    restored: float
    restored_redis: float
    reconnected: float
    reconnecting_seconds: float
    memory_before: float
    memory: float
    redis_memory: float

    def values(self) -> tuple[float, ...]:
        return astuple(self)
