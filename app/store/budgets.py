"""Counters by client address in Redis, shared by all replicas: windows of a minute that begin with the first count.

A look-up is counted as in progress before it is made. A hit uncounts it, a miss is counted in its stead. Look-ups in
progress also expire, so that none stays if a replica dies, and settling twice or late changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import reading_reply
from app.redis_client.reply import Reply, array, integer
from app.sessions.ports import Guessed, Reserved, Usage
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["RedisBudgets", "hashed_address"]

_WINDOW_MILLISECONDS: Final = 60_000
# Longer than any request waits for Redis. After that, look-ups counted by a dead replica no longer count.
_LAPSE_MILLISECONDS: Final = 10_000
_EVERYBODY: Final = "all"


class RedisBudgets:
    """Implements ``app.sessions.ports.Budgets``. Addresses are hashed with ``secret``.

    If that changes, the counters of an address begin anew. ``others``: the secrets that may have been used before.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        secret: Callable[[], bytes],
        others: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self._client = client
        self._keys = keys
        self._secret = secret
        self._others = others
        self._reserve = LIST_SCRIPTS.reserve_look_ups
        self._settle = LIST_SCRIPTS.settle_look_ups

    async def reserve(self, address: str, look_ups: Sequence[str], most: int) -> Reserved:
        with client_errors(changing=False):
            own, total = await asyncio.gather(
                self._run(self._reserve, self._hashed(address), most, _LAPSE_MILLISECONDS, *look_ups),
                self._run(self._reserve, _EVERYBODY, "-", _LAPSE_MILLISECONDS, *look_ups),
            )
            with reading_reply():
                counted, misses, under_way, left = map(integer, array(own))
                _, total_misses, total_under_way, _ = map(integer, array(total))
                return Reserved(
                    counted=counted,
                    misses=misses,
                    under_way=under_way,
                    total_misses=total_misses,
                    total_under_way=total_under_way,
                    seconds_left=left / 1000,
                )

    async def settle(self, address: str, look_ups: Sequence[str], *, missed: bool = False) -> None:
        with client_errors(changing=False):
            await asyncio.gather(
                self._run(self._settle, self._hashed(address), int(missed), _WINDOW_MILLISECONDS, *look_ups),
                self._run(self._settle, _EVERYBODY, int(missed), _WINDOW_MILLISECONDS, *look_ups),
            )

    async def add_create(self, address: str) -> Usage:
        return await self._add(self._keys.creates(self._hashed(address)))

    async def add_wrong_key(self, address: str) -> Usage:
        return await self._add(self._keys.wrong_keys(self._hashed(address)))

    async def add_passcode(self, code: str) -> Usage:
        return await self._add(self._keys.passcodes(self._hashed(f"session {code}")))

    async def reserve_guess(self, whose: str, guess: str, most: int) -> Guessed:
        keys = self._keys.guesses(self._hashed(whose))
        with client_errors(changing=False):
            reply = await self._client.run(self._reserve, keys, (most, _LAPSE_MILLISECONDS, guess))
            with reading_reply():
                counted, wrong, _, left = map(integer, array(reply))
                return Guessed(counted=bool(counted), wrong=wrong, seconds_left=left / 1000)

    async def settle_guess(self, whose: str, guess: str, *, wrong: bool = False) -> None:
        keys = self._keys.guesses(self._hashed(whose))
        with client_errors(changing=False):
            await self._client.run(self._settle, keys, (int(wrong), _WINDOW_MILLISECONDS, guess))

    async def _add(self, key: str) -> Usage:
        with client_errors(changing=False):
            count, _, left = await asyncio.gather(
                self._client.execute("INCR", key),
                self._client.execute("PEXPIRE", key, _WINDOW_MILLISECONDS, "NX"),
                self._client.execute("PTTL", key),
            )
            with reading_reply():
                return Usage(times=integer(count), seconds_left=max(0, integer(left)) / 1000)

    async def total_misses(self) -> int:
        with client_errors(changing=False):
            count = await self._client.execute("GET", self._keys.misses(_EVERYBODY))
            with reading_reply():
                return integer(count or 0)

    async def forgive(self, address: str) -> None:
        keys: list[str] = []
        for secret in (self._secret(), *self._others()):
            hashed = hashed_address(secret, address)
            keys += (*self._keys.look_ups(hashed), self._keys.creates(hashed), self._keys.wrong_keys(hashed))
            keys += self._keys.guesses(hashed_address(secret, f"address {address}"))
        with client_errors(changing=True):
            await asyncio.gather(*(self._client.execute("DEL", key) for key in keys))

    async def _run(self, script: Script, whose: str, *arguments: str | int) -> Reply:
        return await self._client.run(script, self._keys.look_ups(whose), arguments)

    def _hashed(self, address: str) -> str:
        return hashed_address(self._secret(), address)


def hashed_address(secret: bytes, address: str) -> str:
    """Return the hash of an address for names of keys."""
    return hmac.digest(secret, f"address.{address}".encode(), hashlib.sha256).hex()[:20]
