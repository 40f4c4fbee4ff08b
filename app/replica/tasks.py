"""Tasks that run as long as a replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["cancel", "logged"]

_logger = logging.getLogger(__name__)


async def logged(work: Coroutine[Any, Any, None]) -> None:
    """Run background work; an error that ends it is a bug, and logged as critical."""
    try:
        await work
    except Exception as error:
        _logger.critical("background work has failed", exc_info=error)
        raise


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
