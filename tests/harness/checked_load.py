"""A load from the service's own load tool, which checks everything that its clients receive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.client.load import Load
from app.client.plan import Plan
from tests.harness.waiting import until

__all__ = ["checked_load"]


@asynccontextmanager
async def checked_load(url: str) -> AsyncIterator[Load]:
    """Run a load of clients that ask for patches, who have all joined; at the end nobody has seen anything wrong."""
    load = Load(Plan(urls=(url,), sessions=3, clients=4, duration=600, rate=6, ramp=1, deadline=15, patches=True))
    loading = asyncio.create_task(load.run())

    def running() -> bool:
        if loading.done():
            loading.result()
        return load.phase == "running"

    try:
        await until(running, "the load has begun")
        yield load
    finally:
        load.interrupt()
        await loading
    violations = [violation for check in load.checks for violation in check.violations]
    assert violations == [], violations
