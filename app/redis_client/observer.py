"""The interface for metrics and traces of a ``RedisClient``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

__all__ = ["Ended", "Observer", "Operation"]

# Called at the end of an operation with its errors: none, the one that it raised, or those of a batch.
Ended = Callable[[Sequence[BaseException]], None]


class Operation(NamedTuple):
    """One call: a ``command``, ``EVALSHA`` of a named ``script``, or a ``PIPELINE`` of ``size`` commands."""

    command: str
    script: str = ""
    size: int = 0


class Observer(Protocol):
    """Is notified of the start and end of each call. The methods must not block or raise."""

    def started(self, operation: Operation) -> Ended:
        """Return a function to call, in the same task, when the operation has ended."""
