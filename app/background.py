"""Background tasks that end with the object that started them."""

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
    """The background tasks of one owner. The owner closes them.

    A task that fails is a bug. The failure is logged once by ``logger``, at ``level``, with a traceback and ``name`` as
    the field ``task``. The task itself handles the errors that it expects.
    """

    def __init__(self, name: str, logger: logging.Logger, *, level: int = logging.ERROR) -> None:
        self._name = name
        self._logger = logger
        self._level = level
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> asyncio.Task[T]:
        """Run ``work`` in a new context, or in ``context``.

        A new context inherits neither the deadline nor the span of the request or event that started the task.
        """
        task = asyncio.get_running_loop().create_task(
            work, name=self._name, context=Context() if context is None else context
        )
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all tasks, without waiting for them to end."""
        for task in self._tasks:
            task.cancel()

    async def close(self, timeout: float | None = 0) -> None:
        """Wait up to ``timeout`` seconds for the tasks, then cancel the rest and wait for them to end.

        With None there is no limit.
        """
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
