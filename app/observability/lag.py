"""Measures the delay of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["LAG_INTERVAL", "watch_event_loop"]

LAG_INTERVAL: Final = 0.25


async def watch_event_loop(observe: Callable[[float], None]) -> None:
    """Measure, forever, every ``LAG_INTERVAL`` seconds, how many seconds later than requested a timer runs."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        observe(max(0.0, clock() - due))
