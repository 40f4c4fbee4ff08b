"""Tasks that run beside their owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from app.observability.logging import log_bug

__all__ = ["Background"]

T = TypeVar("T")


class Background:
    """The background tasks of one owner, kept until they end and closed with it.

    A task that fails is a bug: it is logged once by ``logger``, at ``level``, with ``name`` as the field ``task`` and
    a traceback. Errors that are expected are handled by the work itself.
    """

    def __init__(self, name: str, logger: logging.Logger, *, level: int = logging.ERROR) -> None:
        self._name = name
        self._logger = logger
        self._level = level
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> asyncio.Task[T]:
        """Run ``work`` in a context of its own, or in ``context``.

        In its own it inherits nothing, neither deadline nor span, from the request or event that happens to start it.
        """
        task = asyncio.get_running_loop().create_task(
            work, name=self._name, context=Context() if context is None else context
        )
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all tasks, without waiting for their end."""
        for task in self._tasks:
            task.cancel()

    async def close(self, timeout: float | None = 0) -> None:
        """Return when all tasks have ended; those that have not after ``timeout`` seconds, if any, are cancelled."""
        tasks = set(self._tasks)
        if tasks and timeout != 0:
            _, tasks = await asyncio.wait(tasks, timeout=timeout)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log_bug(self._logger, "background task failed", error, level=self._level, task=self._name)
