"""One deadline for all that an HTTP request or a socket event asks of Redis, however many commands that takes.

It is set where requests and events come in, and read where commands go out. Each command has a time-out besides, which
is all that holds for the service's own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Final, TypeVar

__all__ = ["Deadline", "before_deadline", "context_without_deadline", "deadline", "within"]

T = TypeVar("T")


class Deadline:
    """``at``, a time of the event loop, is some ``seconds`` after it began, or the deadline that it is part of."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.at = within(seconds)

    def restart(self) -> None:
        """Begins again, when what came before was not waiting for us."""
        self.at = asyncio.get_running_loop().time() + self._seconds


_current: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Whatever is asked of Redis in the block, and in tasks that it starts, is over after so many seconds in all."""
    begun = Deadline(seconds)
    outer = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(outer)


def within(seconds: float) -> float:
    """The loop time in so many seconds, or the deadline where that is earlier."""
    at = asyncio.get_running_loop().time() + seconds
    current = _current.get()
    return at if current is None else min(at, current.at)


async def before_deadline(shared: asyncio.Future[T]) -> T:
    """The result of a task that others wait for as well; TimeoutError at the deadline, and the task goes on."""
    current = _current.get()
    async with asyncio.timeout_at(None if current is None else current.at):
        return await asyncio.shield(shared)


def context_without_deadline() -> Context:
    """The context of the request or event, its spans included, for a task that may outlive it."""
    context = copy_context()
    context.run(_current.set, None)
    return context
