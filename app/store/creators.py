"""How many live sessions an address has made, and how many bytes of movies it gave them.

A place is taken before the session is made, so that a burst takes no more of them than there are. Sessions end and live
on without telling: only when an address has no room left are its sessions looked at, which are few.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError
from app.sessions.errors import SessionError
from app.store.budgets import hashed_address
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["RedisCreators"]

# Longer than making a session may take.
_MAKING: Final = 10_000


class RedisCreators:
    """See ``app.sessions.ports.Creators``. ``longest``: seconds that any session lives."""

    def __init__(self, connection: RedisClient, keys: Keys, secret: Callable[[], bytes], *, longest: float) -> None:
        self._connection = connection
        self._keys = keys
        self._secret = secret
        self._longest = round(longest * 1000)
        self._claim = LIST_SCRIPTS.claim_session

    async def claim(self, address: str, seed: str, size: int, *, most: int, most_bytes: int) -> bool:
        key = self._key(address)
        arguments = (seed, size, most, most_bytes, _MAKING, self._longest)
        with client_errors(changing=False):
            granted, *named = await self._connection.run(self._claim, [key], arguments)
            if not granted and (gone := await self._gone(dict(zip(named[::2], named[1::2], strict=True)))):
                await self._connection.execute("HDEL", key, *gone)
                granted, *_ = await self._connection.run(self._claim, [key], arguments)
            return bool(granted)

    async def made(self, address: str, seed: str, size: int, code: str) -> None:
        key = self._key(address)
        # Its place is free again soon where this fails.
        with suppress(SessionError), client_errors(changing=False):
            await self._connection.batch(
                [("HSET", key, seed, f"{size} {code} 0"), ("PEXPIRE", key, self._longest)],
            )

    async def _gone(self, named: dict[bytes, bytes]) -> list[bytes]:
        """Which of the sessions, by their seeds, are over; the code may be another's by now."""
        instances: list[Any] = await self._connection.batch(
            [("HGET", self._keys.session(code.decode()), "instance") for code in named.values()]
        )
        for instance in instances:
            if isinstance(instance, StoreError):
                raise instance
        return [seed for seed, instance in zip(named, instances, strict=True) if not (instance or b"").startswith(seed)]

    def _key(self, address: str) -> str:
        return self._keys.made(hashed_address(self._secret(), address))
