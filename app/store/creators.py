"""Counts the live sessions created by each address, and the bytes of movies given to them.

A place is taken before the session is created, so concurrent requests cannot exceed the limit. A place is not released
when its session ends. Only if an address has no place left, its sessions, which are few, are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import array, text, text_or_none, texts
from app.sessions.errors import SessionError
from app.store.batches import run_batch
from app.store.budgets import hashed_address
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["RedisCreators"]

# Longer than creating a session takes.
_MAKING_MILLISECONDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Claim:
    """Whether a place was granted; if not, the codes of the sessions that hold places, by their seeds."""

    granted: bool
    holders: dict[str, str]


class RedisCreators:
    """Implements ``app.sessions.ports.Creators``.

    ``longest``: the maximum lifetime of sessions in seconds. ``plan_memory``: seconds for which the plan of a creation
    is stored.
    """

    def __init__(
        self, client: RedisClient, keys: Keys, secret: Callable[[], bytes], *, longest: float, plan_memory: float
    ) -> None:
        self._client = client
        self._keys = keys
        self._secret = secret
        self._longest = round(longest * 1000)
        self._plan_memory = round(plan_memory * 1000)
        self._claim = LIST_SCRIPTS.claim_session

    async def claim(self, address: str, seed: str, size: int, *, most: int, most_bytes: int) -> bool:
        key = self._key(address)
        arguments = (seed, size, most, most_bytes, _MAKING_MILLISECONDS, self._longest)
        with client_errors(changing=False):
            claim = await self._try(key, arguments)
            if not claim.granted and (gone := await self._gone(claim.holders)):
                await self._client.execute("HDEL", key, *gone)
                claim = await self._try(key, arguments)
            return claim.granted

    async def made(self, address: str, seed: str, size: int, code: str) -> None:
        key = self._key(address)
        # If this fails, the claim expires soon and the place is free again.
        with suppress(SessionError), client_errors(changing=False):
            await self._client.batch(
                [("HSET", key, seed, f"{size} {code} 0"), ("PEXPIRE", key, self._longest)],
            )

    async def claim_plan(self, digest: str, plan: str) -> str:
        with client_errors(changing=True):
            earlier = await self._client.execute(
                "SET", self._keys.created(digest), plan, "NX", "GET", "PX", self._plan_memory
            )
            with reading_reply():
                return text(earlier) if earlier else plan

    async def replace_plan(self, digest: str, plan: str) -> None:
        with client_errors(changing=True):
            await self._client.execute("SET", self._keys.created(digest), plan, "XX", "KEEPTTL")

    async def _try(self, key: str, arguments: Sequence[str | int]) -> _Claim:
        reply = await self._client.run(self._claim, [key], arguments)
        with reading_reply():
            granted, *rest = array(reply)
            named = texts(rest)
            return _Claim(bool(granted), dict(zip(named[::2], named[1::2], strict=True)))

    async def _gone(self, holders: dict[str, str]) -> list[str]:
        """Return the seeds of the sessions that have ended. Their codes may have been reused."""
        commands = [("HGET", self._keys.session(code), "instance") for code in holders.values()]
        instances = await run_batch(self._client, commands)
        return [
            seed
            for seed, instance in zip(holders, instances, strict=True)
            if not (text_or_none(instance) or "").startswith(seed)
        ]

    def _key(self, address: str) -> str:
        return self._keys.made(hashed_address(self._secret(), address))
