"""Where the other replicas are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.sessions.errors import SessionError
from app.store.replicas import RedisReplicas

__all__ = ["ADDRESS", "ReplicaDirectory"]

# The detail by which a replica tells the others where its internal port is.
ADDRESS: Final = "address"

_MIN_PAUSE_SECONDS: Final = 0.25


@dataclass(slots=True)
class _Known:
    address: str
    missing_since: float | None = None


class ReplicaDirectory:
    """The addresses of the living replicas, from memory.

    An id that is unknown has Redis asked for all of them, four times a second at the most, whoever sends what ids. As
    no id is ever used again, an address holds until its replica has been missing for ``memory`` seconds. That counts
    only while Redis knows of this replica, ``own``, itself: one that is away, has lost its data or takes no leases says
    nothing of the others. ``memory`` has to be longer than replicas take to tell a Redis that has lost its data of
    themselves.
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

    def is_host(self, host: str) -> bool:
        """Return whether a living replica is at an IP address."""
        return any(known.address.rpartition(":")[0].strip("[]") == host for known in self._known.values())

    async def address(self, replica: str) -> str | None:
        """Return the ``host:port`` of a replica's internal port, None when no living replica has that id."""
        if replica not in self._known:
            await self._ask_again()
        known = self._known.get(replica)
        return None if known is None else known.address

    async def refresh(self) -> None:
        """Ask Redis. Nobody is forgotten while it does not know; ``are_known`` is False then."""
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
