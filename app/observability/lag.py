"""Measures the delay of the event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import Histogram

__all__ = ["watch_event_loop"]

_INTERVAL_SECONDS: Final = 0.25


async def watch_event_loop(lag: Histogram) -> None:
    """Measure, forever, how many seconds later than requested a timer runs."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _INTERVAL_SECONDS
        await asyncio.sleep(_INTERVAL_SECONDS)
        lag.observe(max(0.0, clock() - due))
