"""How a client tries to exceed each bound of docs/limits.md; the modules of this folder add theirs with `exceeds`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.harness.here import Here, served_here
from tests.harness.people import Api
from tests.harness.redis import RedisServer

__all__ = ["ATTEMPTS", "Attempt", "Limited", "exceeds", "limited"]

# Trusted, so that a test may be a client of any address.
PROXY: Final = "127.0.0.0/8"
CLIENT: Final = "203.0.113.7"


class Limited:
    """A replica for which nobody's address is free of budgets, and its Redis. `headers` name a client's address."""

    def __init__(self, redis: RedisServer, here: Here, api: Api) -> None:
        self.redis = redis
        self.here = here
        self.api = api
        self.headers = {"X-Forwarded-For": CLIENT}


@asynccontextmanager
async def limited(redis: RedisServer, **settings: Any) -> AsyncIterator[Limited]:
    """A replica with these settings, on an empty Redis."""
    await redis.call("FLUSHALL")
    given = {"unlimited_addresses": "192.0.2.0/24", "trusted_proxies": PROXY, **settings}
    async with served_here(redis.url(), 1, **given) as (here,):
        api = Api([here])
        try:
            yield Limited(redis, here, api)
        finally:
            await api.close()


Attempt = Callable[[RedisServer], Awaitable[None]]
ATTEMPTS: Final[dict[str, Attempt]] = {}


def exceeds(what: str) -> Callable[[Attempt], Attempt]:
    """Registers how a client tries to exceed the bound that the row named `what` states."""

    def register(attempt: Attempt) -> Attempt:
        assert what not in ATTEMPTS, what
        ATTEMPTS[what] = attempt
        return attempt

    return register
