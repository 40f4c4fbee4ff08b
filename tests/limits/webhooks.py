"""Attempts to have more events kept for a receiver of webhooks than a deployment keeps."""

from __future__ import annotations

from typing import Any, Final

from tests.harness.metrics import scrape
from tests.harness.ports import free_port
from tests.harness.receiver import SECRET
from tests.harness.redis import RedisServer
from tests.harness.waiting import until
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []

TITLE: Final = "t" * 100


async def drops(redis: RedisServer, dropped: int, **bounds: Any) -> None:
    """Sessions are created while the receiver is away."""
    hook = {"webhook_url": f"http://127.0.0.1:{free_port()}", "webhook_allow_http": True, "webhook_secret": SECRET}
    async with limited(redis, webhook_max_pause=0.2, **hook, **bounds) as replica:
        for _ in range(6):
            await replica.api.create(title=TITLE)

        async def are_dropped() -> bool:
            seen = await scrape(replica.here)
            return seen.value("join_session_webhook_events_total", result="dropped") == dropped

        await until(are_dropped, "the oldest are dropped")
        assert await redis.call("ZCOUNT", "js:events", 1, "+inf") == 6 - dropped


@exceeds("Events that wait for the receiver of webhooks; beyond that the oldest are dropped")
async def more_events_than_may_wait(redis: RedisServer) -> None:
    await drops(redis, 4, webhook_max_events=2)


@exceeds("Bytes of these events")
async def more_bytes_than_may_wait(redis: RedisServer) -> None:
    """Each has some two hundred."""
    await drops(redis, 3, webhook_max_bytes=700)


@exceeds("Time for which an event is sent again")
async def more_time_than_a_receiver_has(redis: RedisServer) -> None:
    await drops(redis, 6, webhook_retention=1)
