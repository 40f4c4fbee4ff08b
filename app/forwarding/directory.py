"""The addresses of the other replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.sessions.errors import SessionError
from app.store.replicas import RedisReplicas

__all__ = ["ADDRESS", "ReplicaDirectory"]

# The field of a replica's details in Redis that has the address of its internal port.
ADDRESS: Final = "address"

_MIN_PAUSE_SECONDS: Final = 0.25


@dataclass(slots=True)
class _Known:
    address: str
    missing_since: float | None = None


class ReplicaDirectory:
    """A cache of the addresses of the living replicas.

    A lookup of an unknown id reads all replicas from Redis, at most four times a second in total. Ids are never reused,
    so an address stays valid until its replica has been missing for ``memory`` seconds. That time counts only while
    Redis lists this replica, ``own``, itself. Otherwise Redis is unavailable or has lost its data, and its list says
    nothing about the others. ``memory`` must be longer than replicas need to register again after Redis has lost its
    data.
    """

    def __init__(self, replicas: RedisReplicas, own: str, *, memory: float) -> None:
        self._replicas = replicas
        self._own = own
        self._memory = memory
        self.are_known = False
        self._known: dict[str, _Known] = {}
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")

    def __contains__(self, replica: str) -> bool:
        return replica in self._known

    def addresses(self) -> list[str]:
        """Return the ``host:port`` of the internal port of each replica that is known, this one among them."""
        return [known.address for known in self._known.values()]

    def is_host(self, host: str) -> bool:
        """Return whether a living replica has this IP address."""
        return any(known.address.rpartition(":")[0].strip("[]") == host for known in self._known.values())

    async def address(self, replica: str) -> str | None:
        """Return the ``host:port`` of a replica's internal port, None if no living replica has that id."""
        if replica not in self._known:
            await self._ask_again()
        known = self._known.get(replica)
        return None if known is None else known.address

    async def refresh(self) -> None:
        """Read the replicas from Redis.

        If Redis is unavailable or does not list this replica, no replica is removed and ``are_known`` is False.
        """
        loop = asyncio.get_running_loop()
        self._asked_at = loop.time()
        living = await self._ask()
        self.are_known = self._own in living
        for replica, details in living.items():
            if address := details.get(ADDRESS):
                self._known[replica] = _Known(address)
        for replica in self._known.keys() - living.keys():
            known = self._known[replica]
            if not self.are_known:
                known.missing_since = None
            elif known.missing_since is None:
                known.missing_since = loop.time()
            elif loop.time() - known.missing_since >= self._memory:
                del self._known[replica]

    async def _ask(self) -> Mapping[str, Mapping[str, str]]:
        try:
            return await self._replicas.living()
        except SessionError:
            return {}

    async def _ask_again(self) -> None:
        wanted_at = asyncio.get_running_loop().time()
        async with self._asking:
            if self._asked_at < wanted_at - _MIN_PAUSE_SECONDS:
                await self.refresh()
