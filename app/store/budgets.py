"""Counters by client address in Redis, shared by all replicas: windows of a minute that begin with the first count."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from app.sessions.ports import Usage
from app.store import keys
from app.store.connection import Connection
from app.store.sessions import answering

__all__ = ["RedisBudgets"]

_WINDOW: Final = 60_000
_EVERYBODY: Final = "all"


class RedisBudgets:
    """See ``app.sessions.ports.Budgets``. Addresses are hashed under ``secret``."""

    def __init__(self, connection: Connection, secret: Callable[[], bytes]) -> None:
        self._connection = connection
        self._secret = secret

    async def misses(self, address: str) -> Usage:
        with answering(changing=False):
            own = keys.misses(self._hashed(address))
            count, total, left = await asyncio.gather(
                self._connection.execute("GET", own),
                self._connection.execute("GET", keys.misses(_EVERYBODY)),
                self._connection.execute("PTTL", own),
            )
            return Usage(int(count or 0), int(total or 0), max(0, left) / 1000)

    async def add_miss(self, address: str) -> Usage:
        mine, all_together = await asyncio.gather(
            self._add(keys.misses(self._hashed(address))), self._add(keys.misses(_EVERYBODY))
        )
        return Usage(mine[0], all_together[0], mine[1])

    async def add_create(self, address: str) -> Usage:
        count, left = await self._add(keys.creates(self._hashed(address)))
        return Usage(count, 0, left)

    async def total_misses(self) -> int:
        with answering(changing=False):
            return int(await self._connection.execute("GET", keys.misses(_EVERYBODY)) or 0)

    async def forgive(self, address: str) -> None:
        hashed = self._hashed(address)
        with answering(changing=True):
            await asyncio.gather(
                self._connection.execute("DEL", keys.misses(hashed)),
                self._connection.execute("DEL", keys.creates(hashed)),
            )

    async def _add(self, key: str) -> tuple[int, float]:
        with answering(changing=False):
            count, _, left = await asyncio.gather(
                self._connection.execute("INCR", key),
                self._connection.execute("PEXPIRE", key, _WINDOW, "NX"),
                self._connection.execute("PTTL", key),
            )
            return int(count), max(0, left) / 1000

    def _hashed(self, address: str) -> str:
        return hmac.digest(self._secret(), f"address.{address}".encode(), hashlib.sha256).hex()[:20]
