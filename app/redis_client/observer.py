"""What may watch the calls of a ``RedisClient``: metrics, traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

__all__ = ["Ended", "Observer", "Operation"]

# Called with the errors of an operation that is over: none, the one that it raised, or those of a batch.
Ended = Callable[[Sequence[BaseException]], None]


class Operation(NamedTuple):
    """One call: a ``command``, ``EVALSHA`` of a named ``script``, or a ``PIPELINE`` of ``size`` commands."""

    command: str
    script: str = ""
    size: int = 0


class Observer(Protocol):
    """Sees each call from its start to its end; neither may block or raise."""

    def started(self, operation: Operation) -> Ended:
        """Return what is to be called when the operation is over, in the same task."""
