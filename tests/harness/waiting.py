"""Waits for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from app.redis_client.errors import StoreUnavailable

__all__ = ["until"]

# Long: it only limits failing tests, and the machine may be busy.
_TIMEOUT_SECONDS: Final = 50.0
_POLL_SECONDS: Final = 0.005


async def until(
    condition: Callable[[], Any],
    what: str = "the condition holds",
    *,
    timeout: float = _TIMEOUT_SECONDS,
    poll: float = _POLL_SECONDS,
) -> Any:
    """Wait until ``condition``, a function or coroutine function, returns something true, and return it.

    Errors of Redis count as false. Times are in seconds.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreUnavailable, RedisError):
            result = condition()
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
        await asyncio.sleep(poll)
    raise AssertionError(f"waited {timeout} s in vain until {what}")
