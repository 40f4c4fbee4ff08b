"""Presence: leases of replicas, grace times of participants, and the take-over from dead replicas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Final

from app.background import Background
from app.backoff import Backoff
from app.realtime.departures import Departed, Departures
from app.realtime.member import Member
from app.realtime.rooms import Rooms
from app.realtime.rounds import each, forever, look_after_due
from app.sessions.errors import SessionError
from app.sessions.service import SessionService
from app.store.replicas import RedisReplicas
from app.store.sessions import RedisSessions

__all__ = ["Presence"]

_SWEEP_CLAIM_SECONDS: Final = 10.0
_MIN_PAUSE_SECONDS: Final = 0.1
_MAX_REPAIR_PAUSE_SECONDS: Final = 2.0
_REATTACHING_SECONDS: Final = 5.0
_LATE_ATTACHMENT_SECONDS: Final = 3.0
_MAX_DETACHED_AT_ONCE: Final = 500
_THIS_REPLICA: Final = ""

_logger = logging.getLogger(__name__)


class Presence:
    """Renews the lease of this replica, and takes over the sessions of replicas whose lease has expired."""

    def __init__(
        self,
        replicas: RedisReplicas,
        store: RedisSessions,
        service: SessionService,
        *,
        lease: float,
        grace: float,
    ) -> None:
        self._replicas = replicas
        self._store = store
        self._service = service
        self._lease = lease
        self._grace = grace
        self._grace_milliseconds = round(grace * 1000)
        self._rooms: Rooms | None = None
        self._departures = Departures(self._remove)
        # By the replica whose sessions are repaired, which may be this one.
        self._repairs: dict[str, asyncio.Task[None]] = {}
        self._background = Background("take-over", _logger)
        self._known = False

    def look_after(self, rooms: Rooms) -> None:
        """Set the rooms of this replica."""
        self._rooms = rooms

    async def keep_lease(self, details: Callable[[], Mapping[str, str]]) -> None:
        """Renew the lease forever, and take over from replicas whose lease has expired.

        ``details`` returns this replica's data for the other replicas.
        """
        await forever(partial(self._renew, details), self._lease / 3)

    async def sweep(self) -> None:
        """Remove, forever, the participants whose grace time is over, at whichever replica they were."""
        sweeping = partial(look_after_due, self._replicas.due, _SWEEP_CLAIM_SECONDS, self._sweep)
        await forever(sweeping, min(1.0, max(0.02, self._grace / 4)))

    def disconnected(self, code: str, connection: str, *, recovery: str | None = None, attaching: bool = False) -> None:
        """Remove a lost connection from a session as soon as Redis is available.

        ``recovery``: its recovery id, if that becomes void. ``attaching``: a command that attaches the connection may
        still be on its way, over a link to Redis that was given up. It may arrive after the removal, so the removal is
        repeated.
        """
        self._departures.add(code, connection, recovery)
        if attaching:
            loop = asyncio.get_running_loop()
            loop.call_later(
                _LATE_ATTACHMENT_SECONDS, self._departures.add, code, connection, recovery, context=Context()
            )

    def disconnected_while_attaching(self, code: str, connection: str) -> None:
        """Remove a lost connection that may still be about to be attached."""
        self.disconnected(code, connection, attaching=True)

    def schedule_sweep_after_loss(self, code: str) -> None:
        """Sweep a session of which Redis lost changes: it may list connections that no longer exist."""
        self._departures.schedule_sweep(code)

    async def settle(self, timeout: float) -> None:
        """Wait until Redis has all lost connections, for ``timeout`` seconds at most; then release the lease."""
        await self._background.close()
        await self._departures.settle(timeout)
        try:
            await self._replicas.deregister()
        except SessionError:
            _logger.warning("cannot release the replica lease: Redis is unavailable")

    async def _remove(self, code: str, departed: Departed) -> None:
        names = list(departed.connections.items())
        for start in range(0, len(names), _MAX_DETACHED_AT_ONCE):
            gone = dict(names[start : start + _MAX_DETACHED_AT_ONCE])
            await self._take_away(code, partial(self._service.detach, code, gone))
        if departed.others:
            living = [member.connection for member in self._members() if member.code == code]
            await self._take_away(code, partial(self._reap_session, self._replicas.name, code, living))
        if departed.needs_sweep:
            await self._replicas.due.schedule(code, self._replicas.now() + round(_REATTACHING_SECONDS * 1000))

    async def _take_away(self, code: str, step: Callable[[], Awaitable[int]]) -> None:
        """Schedule a sweep of the session and run ``step``, which returns when the next grace time ends.

        The sweep is scheduled first, because this replica may die at any moment. It is scheduled again if ``step`` ran
        so late that the first sweep may come before anybody was marked as disconnected.
        """
        scheduled = self._replicas.now() + self._grace_milliseconds
        await self._replicas.due.schedule(code, scheduled)
        due = await step()
        if due >= scheduled + self._grace_milliseconds:
            await self._replicas.due.schedule(code, due)

    def _members(self) -> Iterable[Member]:
        return () if self._rooms is None else self._rooms.members

    async def _renew(self, details: Callable[[], Mapping[str, str]]) -> None:
        lease = await self._replicas.renew(details())
        if not lease.lapsed:
            for replica in lease.dead:
                if replica not in self._repairs:
                    self._repair(replica, self._take_over(replica))
        elif self._known and self._rooms is not None:
            # The cause of the missed renewals may concern the other replicas, too, so they get time to renew before a
            # take-over.
            _logger.warning("the lease had run out; attaching all members again")
            self._repair(_THIS_REPLICA, _retry_until_done(self._rooms.reattach_all))
        self._known = True

    def _repair(self, replica: str, work: Coroutine[object, None, None]) -> None:
        """Start ``work`` in the background, in place of earlier work for the same replica."""
        if earlier := self._repairs.get(replica):
            earlier.cancel()
        task = self._repairs[replica] = self._background.start(work)
        task.add_done_callback(lambda done: self._repaired(replica, done))

    def _repaired(self, replica: str, task: asyncio.Task[None]) -> None:
        if self._repairs.get(replica) is task:
            del self._repairs[replica]

    async def _take_over(self, replica: str) -> None:
        try:
            await self._reap(replica)
        except SessionError as error:
            extra = {"replica": replica, "code": error.code}
            _logger.info("take-over paused; continues at the next lease renewal", extra=extra)

    async def _reap(self, replica: str) -> None:
        while codes := await self._replicas.sessions_of(replica):
            # A session that fails is tried again at the next renewal and does not delay the others.
            failures = await each(codes, lambda code: self._take_away(code, partial(self._reap_session, replica, code)))
            if done := [code for code in codes if code not in failures]:
                await self._replicas.mark_reaped(replica, done)
            else:
                raise next(iter(failures.values()))
        await self._replicas.forget(replica)
        _logger.info("a replica's lease has run out; its members have their grace time", extra={"replica": replica})

    async def _reap_session(self, replica: str, code: str, living: list[str] | None = None) -> int:
        """Detach a replica's connections; with ``living`` only those that are not among them."""
        with _if_it_exists():
            return await self._store.reap(code, replica, living=living, grace=self._grace_milliseconds)
        return 0

    async def _sweep(self, code: str) -> int:
        """Sweep a session; return when that is due again."""
        with _if_it_exists():
            return (await self._store.sweep(code, grace=self._grace_milliseconds)).next_due
        return 0


@contextmanager
def _if_it_exists() -> Iterator[None]:
    """Ignore that the session has ended."""
    try:
        yield
    except SessionError as error:
        if error.code != "session-not-found":
            raise


async def _retry_until_done(work: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_REPAIR_PAUSE_SECONDS)
    while True:
        try:
            return await work()
        except SessionError:
            await asyncio.sleep(backoff.next())
