"""Data that replicas share in Redis: leases, the sessions at each replica, and due sweeps.

All times are Unix milliseconds of Redis's clock. Entries are removed after their work is done, and all work may be done
twice, so other replicas can finish the work of a replica that dies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import orjson

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import array, integer, text, texts
from app.sessions.errors import SessionError
from app.store.client_errors import client_errors
from app.store.due import DueList
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["Heard", "Lease", "RedisReplicas"]

_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Lease:
    """``lapsed``: other replicas may have reaped this one. ``dead``: replicas whose lease has expired."""

    lapsed: bool
    dead: list[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """The details of the living replicas as they were read ``at`` a time of ``time.monotonic``."""

    at: float
    living: Mapping[str, Mapping[str, str]]


class RedisReplicas:
    """The replicas of the deployment. All methods raise ``SessionError``.

    ``heard``: what ``living`` returned last. ``due``: the sessions to sweep.
    """

    def __init__(self, client: RedisClient, keys: Keys, replica: str, *, lease: float) -> None:
        self._client = client
        self._keys = keys
        self.name = self._replica = replica
        self._lease = round(lease * 1000)
        self._clock_offset: float | None = None
        self._renewed_at: int | None = None
        self.heard: Heard | None = None
        # The sessions with connections here; and those for which Redis may have the wrong entry, until when.
        self._entered: set[str] = set()
        self._doubtful: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._renew = LIST_SCRIPTS.renew_lease
        self._tell = LIST_SCRIPTS.tell_details
        self.due = DueList(client, keys.due)

    def now(self) -> int:
        """Return the time of Redis's clock, as estimated at the last renewal."""
        if self._clock_offset is None:
            return round(time.time() * 1000)
        return round(time.monotonic() * 1000 + self._clock_offset)

    def renewed_at(self) -> int | None:
        """Return the time of the last renewal."""
        return self._renewed_at

    async def renew(self, details: Mapping[str, str]) -> Lease:
        """Renew this replica's lease and store its details for the others."""
        with client_errors(changing=True):
            reply = await self._client.run(self._renew, [self._keys.replicas], [self._replica, self._lease])
            with reading_reply():
                time_in_redis, lapsed, dead = array(reply)
                now = integer(time_in_redis)
                self._clock_offset = now - time.monotonic() * 1000
                self._renewed_at = now
                lease = Lease(bool(lapsed), texts(dead))
            told = orjson.dumps(dict(details))
            await self._client.run(self._tell, [self._keys.replica(self._replica)], [told, self._lease])
            await self._resolve_doubts()
            return lease

    async def deregister(self) -> None:
        """Release the lease, so that this replica's remaining connections are reaped at once."""
        with client_errors(changing=True):
            await self._client.execute("ZADD", self._keys.replicas, 1, self._replica)
            await self._client.execute("UNLINK", self._keys.replica(self._replica))

    async def living(self) -> dict[str, dict[str, str]]:
        """Return the details of each replica whose lease is valid."""
        with client_errors(changing=False):
            replicas = await self._client.execute("ZRANGE", self._keys.replicas, 0, -1)
            with reading_reply():
                known = texts(replicas)
            told = await asyncio.gather(*(self._client.execute("GET", self._keys.replica(name)) for name in known))
            with reading_reply():
                told_by = zip(known, told, strict=True)
                living = {name: orjson.loads(text(details)) for name, details in told_by if details}
        self.heard = Heard(time.monotonic(), living)
        return living

    async def enter(self, codes: Sequence[str]) -> None:
        """Note that this replica is about to have connections in sessions."""
        self._entered.update(codes)
        for batch in _batches(codes):
            async with self._turns(batch):
                with client_errors(changing=True):
                    await self._client.execute("SADD", self._keys.replica_codes(self._replica), *batch)

    async def exit(self, codes: Sequence[str]) -> None:
        """Note that this replica has no connections left in sessions."""
        self._entered.difference_update(codes)
        failures: list[SessionError] = []
        for batch in _batches(codes):
            async with self._turns(batch):
                gone = [code for code in batch if code not in self._entered]
                try:
                    await self._remove(gone)
                except SessionError as error:
                    # The command may still arrive, after one that enters the sessions again.
                    self._doubtful |= dict.fromkeys(gone, time.monotonic() + 2 * self._lease / 1000)
                    failures.append(error)
        if failures:
            raise failures[0]

    async def _remove(self, codes: Sequence[str]) -> None:
        if codes:
            with client_errors(changing=True):
                await self._client.execute("SREM", self._keys.replica_codes(self._replica), *codes)

    @asynccontextmanager
    async def _turns(self, codes: Sequence[str]) -> AsyncIterator[None]:
        """Keep ``enter`` and ``exit`` of a session in order."""
        async with AsyncExitStack() as stack:
            # In one order for all callers, so that no two wait for each other.
            for code in sorted(codes):
                await stack.enter_async_context(self._locks.setdefault(code, asyncio.Lock()))
            yield

    async def _resolve_doubts(self) -> None:
        """Repeat the entries that a late command may have overwritten."""
        now = time.monotonic()
        doubtful = list(self._doubtful)
        self._doubtful = {code: until for code, until in self._doubtful.items() if until > now}
        for batch in _batches(doubtful):
            if there := [code for code in batch if code in self._entered]:
                await self._client.execute("SADD", self._keys.replica_codes(self._replica), *there)
            if gone := [code for code in batch if code not in self._entered]:
                await self._client.execute("SREM", self._keys.replica_codes(self._replica), *gone)

    async def sessions_of(self, replica: str) -> list[str]:
        """Return some of the sessions in which a dead replica has connections; empty if there are none."""
        with client_errors(changing=False):
            codes = await self._client.execute("SRANDMEMBER", self._keys.replica_codes(replica), _BATCH)
            with reading_reply():
                return texts(codes)

    async def mark_reaped(self, replica: str, codes: Sequence[str]) -> None:
        """Remove sessions from a dead replica's list."""
        with client_errors(changing=True):
            await self._client.execute("SREM", self._keys.replica_codes(replica), *codes)

    async def forget(self, replica: str) -> None:
        """Remove a dead replica. If it is alive after all, its next renewal reports ``lapsed``."""
        with client_errors(changing=True):
            await self._client.execute("ZREM", self._keys.replicas, replica)


def _batches(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    return (codes[start : start + _BATCH] for start in range(0, len(codes), _BATCH))
