"""Who is there: leases of replicas, grace times of participants, and what a dead replica leaves behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from app.realtime.member import Member
from app.realtime.rooms import Rooms
from app.sessions.errors import SessionError
from app.sessions.service import SessionService

__all__ = ["Presence"]

_SWEEP_CLAIM: Final = 10.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0

_logger = logging.getLogger(__name__)


class Replicas(Protocol):
    """See ``app.store.replicas``."""

    def now(self) -> int: ...
    async def renew(self, details: Mapping[str, str]) -> Any: ...
    async def resign(self) -> None: ...
    async def entered(self, replica: str) -> list[str]: ...
    async def reaped(self, replica: str, codes: list[str]) -> None: ...
    async def bury(self, replica: str) -> None: ...
    async def schedule(self, code: str, due: int) -> None: ...
    async def claim_due(self, seconds: float) -> Any: ...
    async def settle(self, code: str, claim: int, next_due: int) -> None: ...


class SessionChanges(Protocol):
    async def change(self, script: str, code: str, call: dict[str, Any]) -> list[Any]: ...


class Presence:
    """Keeps this replica's lease, and does what is due for sessions that no living replica looks after."""

    def __init__(
        self,
        replicas: Replicas,
        store: SessionChanges,
        service: SessionService,
        rooms: Rooms,
        *,
        lease: float,
        grace: float,
        details: Mapping[str, str],
    ) -> None:
        self._replicas = replicas
        self._store = store
        self._service = service
        self._rooms = rooms
        self._lease = lease
        self._grace = grace
        self._details = details
        self._leaving: set[asyncio.Task[None]] = set()
        self._known = False

    async def keep_lease(self) -> None:
        """Renews the lease, for ever; takes over from replicas whose lease has run out."""
        await _for_ever(self._renew, self._lease / 3)

    async def sweep(self) -> None:
        """Removes, for ever, participants whose grace time is over, whichever replica they were at."""
        await _for_ever(self._sweep_due, min(1.0, max(0.02, self._grace / 4)))

    def gone(self, member: Member) -> None:
        """A member's socket is gone; Redis is told as soon as it can be."""
        task = asyncio.get_running_loop().create_task(self._detach(member))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def settle(self, timeout: float) -> None:
        """Waits until Redis knows of all that are gone, ``timeout`` seconds at the most; then gives up the lease."""
        if self._leaving:
            _, late = await asyncio.wait(self._leaving, timeout=timeout)
            for task in late:
                task.cancel()
        try:
            await self._replicas.resign()
        except SessionError:
            _logger.warning("the lease runs out by itself: Redis is away")

    async def _detach(self, member: Member) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._replicas.schedule(member.code, self._replicas.now() + round(self._grace * 1000))
                await self._service.detach(member.code, member.connection)
                return
            except SessionError as error:
                if not error.retryable:
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _renew(self) -> None:
        lease = await self._replicas.renew(self._details)
        if lease.lapsed and self._known:
            _logger.warning("the lease had run out; attaching all members again")
            await self._rooms.reattach_all()
        self._known = True
        for replica in lease.dead:
            await self._reap(replica)

    async def _reap(self, replica: str) -> None:
        while codes := await self._replicas.entered(replica):
            for code in codes:
                await self._replicas.schedule(code, self._replicas.now() + round(self._grace * 1000))
                await self._change_if_there("reap", code, {"replica": replica, "grace": round(self._grace * 1000)})
            await self._replicas.reaped(replica, codes)
        await self._replicas.bury(replica)
        _logger.info("a replica's lease has run out; its members have their grace time", extra={"replica": replica})

    async def _sweep_due(self) -> None:
        due = await self._replicas.claim_due(_SWEEP_CLAIM)
        for code in due.codes:
            result = await self._change_if_there("sweep", code, {})
            await self._replicas.settle(code, due.claim, result[1] if result else 0)

    async def _change_if_there(self, script: str, code: str, call: dict[str, Any]) -> list[Any]:
        try:
            return await self._store.change(script, code, call)
        except SessionError as error:
            if error.code != "session-not-found":
                raise
            return []


async def _for_ever(step: Callable[[], Coroutine[Any, Any, None]], interval: float) -> None:
    while True:
        try:
            await step()
        except SessionError:
            await asyncio.sleep(min(interval, _FIRST_PAUSE))
        else:
            await asyncio.sleep(interval)
