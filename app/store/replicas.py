"""What replicas tell each other through Redis: leases, which sessions are where, and what is due.

All times are Unix milliseconds by Redis's clock. Nothing is taken off a list before the work is done, and all of the
work may be done twice, so a replica that dies halfway leaves it to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import orjson

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.sessions.errors import SessionError
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["Due", "Lease", "RedisReplicas"]

_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Lease:
    """``lapsed``: others may have reaped this replica; ``dead``: replicas whose lease has run out."""

    lapsed: bool
    dead: list[str]


@dataclass(frozen=True, slots=True)
class Due:
    """Sessions to sweep; ``claim`` goes back with what was found."""

    claim: int
    codes: list[str]


class RedisReplicas:
    """The part of Redis by which replicas know of each other. All methods raise ``SessionError``."""

    def __init__(self, client: RedisClient, keys: Keys, replica: str, *, lease: float) -> None:
        self._client = client
        self._keys = keys
        self.name = self._replica = replica
        self._lease = round(lease * 1000)
        self._clock_offset: float | None = None
        self._renewed_at: int | None = None
        # The sessions that have connections here, and those of which Redis may think otherwise, until when.
        self._entered: set[str] = set()
        self._doubtful: dict[str, float] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._renew = LIST_SCRIPTS.renew_lease
        self._tell = LIST_SCRIPTS.tell_details
        self._schedule = LIST_SCRIPTS.schedule_due
        self._claim = LIST_SCRIPTS.claim_due
        self._settle = LIST_SCRIPTS.settle_due

    def now(self) -> int:
        """Redis's clock, as of the last renewal."""
        if self._clock_offset is None:
            return round(time.time() * 1000)
        return round(time.monotonic() * 1000 + self._clock_offset)

    def renewed_at(self) -> int | None:
        """When the lease was renewed last."""
        return self._renewed_at

    async def renew(self, details: Mapping[str, str]) -> Lease:
        """Says that this replica lives on, and what the others need to know of it."""
        with client_errors(changing=True):
            reply = await self._client.run(self._renew, [self._keys.replicas], [self._replica, self._lease])
            with reading_reply():
                now, lapsed, dead = reply
                self._clock_offset = now - time.monotonic() * 1000
                self._renewed_at = now
                lease = Lease(bool(lapsed), [replica.decode() for replica in dead])
            told = orjson.dumps(dict(details))
            await self._client.run(self._tell, [self._keys.replica(self._replica)], [told, self._lease])
            await self._resolve_doubts()
            return lease

    async def deregister(self) -> None:
        """Gives the lease up: what is left of this replica may be reaped at once."""
        with client_errors(changing=True):
            await self._client.execute("ZADD", self._keys.replicas, 1, self._replica)
            await self._client.execute("UNLINK", self._keys.replica(self._replica))

    async def living(self) -> dict[str, dict[str, str]]:
        """What each replica whose lease runs tells of itself."""
        with client_errors(changing=False):
            replicas = await self._client.execute("ZRANGE", self._keys.replicas, 0, -1)
            with reading_reply():
                known = [replica.decode() for replica in replicas]
            told = await asyncio.gather(*(self._client.execute("GET", self._keys.replica(name)) for name in known))
            with reading_reply():
                return {name: orjson.loads(details) for name, details in zip(known, told, strict=True) if details}

    async def enter(self, code: str) -> None:
        """Says, before it is so, that this replica has connections in a session."""
        self._entered.add(code)
        async with self._turn(code):
            with client_errors(changing=True):
                await self._client.execute("SADD", self._keys.replica_codes(self._replica), code)

    async def exit(self, code: str) -> None:
        """Says that this replica has no connections left in a session."""
        self._entered.discard(code)
        async with self._turn(code):
            if code in self._entered:
                return
            try:
                with client_errors(changing=True):
                    await self._client.execute("SREM", self._keys.replica_codes(self._replica), code)
            except SessionError:
                # It may still come to Redis, behind what says that there are connections again.
                self._doubtful[code] = time.monotonic() + 2 * self._lease / 1000
                raise

    def _turn(self, code: str) -> asyncio.Lock:
        """Entering a session and leaving it happen in the order in which they are asked for."""
        return self._turns.setdefault(code, asyncio.Lock())

    async def _resolve_doubts(self) -> None:
        """Says again what may have been overtaken, for as long as that can be."""
        now = time.monotonic()
        doubtful = list(self._doubtful)
        self._doubtful = {code: until for code, until in self._doubtful.items() if until > now}
        for start in range(0, len(doubtful), _BATCH):
            batch = doubtful[start : start + _BATCH]
            if there := [code for code in batch if code in self._entered]:
                await self._client.execute("SADD", self._keys.replica_codes(self._replica), *there)
            if gone := [code for code in batch if code not in self._entered]:
                await self._client.execute("SREM", self._keys.replica_codes(self._replica), *gone)

    async def sessions_of(self, replica: str) -> list[str]:
        """Some of the sessions that a dead replica has left connections in; empty when there are none."""
        with client_errors(changing=False):
            codes = await self._client.execute("SRANDMEMBER", self._keys.replica_codes(replica), _BATCH)
            with reading_reply():
                return [code.decode() for code in codes]

    async def mark_reaped(self, replica: str, codes: Sequence[str]) -> None:
        """Takes sessions off a dead replica's list."""
        with client_errors(changing=True):
            await self._client.execute("SREM", self._keys.replica_codes(replica), *codes)

    async def forget(self, replica: str) -> None:
        """Forgets a dead replica; one that lives after all notices at its next renewal."""
        with client_errors(changing=True):
            await self._client.execute("ZREM", self._keys.replicas, replica)

    async def schedule(self, code: str, due: int) -> None:
        """Has a session swept at ``due`` or earlier."""
        with client_errors(changing=True):
            await self._client.run(self._schedule, [self._keys.due], [code, due])

    async def claim_due(self, seconds: float) -> Due:
        """Sessions to sweep now, which nobody else is given for some ``seconds``."""
        with client_errors(changing=True):
            reply = await self._client.run(self._claim, [self._keys.due], [_BATCH, round(seconds * 1000)])
            with reading_reply():
                claim, codes = reply
                return Due(claim, [code.decode() for code in codes])

    async def settle(self, code: str, claim: int, next_due: int) -> None:
        """Says that a claimed session was swept, and when to look again (0: when somebody schedules it)."""
        with client_errors(changing=True):
            await self._client.run(self._settle, [self._keys.due], [code, claim, next_due])
