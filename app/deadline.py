"""One deadline for all Redis commands of an HTTP request or a Socket.IO event.

The deadline is set when a request or event arrives and is read when a command is sent. Each command also has a time-out
of its own. Background work has no deadline, only those time-outs.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Final, TypeVar

__all__ = ["Deadline", "before_deadline", "context_without_deadline", "has_time", "within"]

T = TypeVar("T")

_MOMENTS_SECONDS: Final = 0.05


class Deadline:
    """A deadline ``seconds`` from now, or the enclosing deadline if that is earlier; ``at`` is a loop time.

    As a context manager it limits the Redis commands of the block, and of tasks started in it, in total.
    """

    __slots__ = ("_outer", "_seconds", "at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.at = within(seconds)

    def __enter__(self) -> Deadline:
        self._outer = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._outer)

    def restart(self) -> None:
        """Start the time again. Used when the time until now was spent waiting for the client."""
        self.at = asyncio.get_running_loop().time() + self._seconds


_current: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


def within(seconds: float, now: float | None = None) -> float:
    """Return the loop time ``seconds`` after ``now``, or the current deadline if that is earlier."""
    at = (asyncio.get_running_loop().time() if now is None else now) + seconds
    current = _current.get()
    return at if current is None else min(at, current.at)


def has_time(seconds: float) -> bool:
    """Return whether the current deadline, if any, leaves so many seconds, but for the first moments of a request."""
    current = _current.get()
    return current is None or current.at >= asyncio.get_running_loop().time() + seconds - _MOMENTS_SECONDS


async def before_deadline(shared: asyncio.Future[T]) -> T:
    """Return the result of a task that other callers wait for as well.

    Raises TimeoutError at the deadline; the task continues.
    """
    current = _current.get()
    async with asyncio.timeout_at(None if current is None else current.at):
        return await asyncio.shield(shared)


def context_without_deadline() -> Context:
    """Return the current context, spans included, without its deadline: for a task that may outlive the request."""
    context = copy_context()
    context.run(_current.set, None)
    return context
