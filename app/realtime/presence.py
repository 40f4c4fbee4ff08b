"""Who is there: leases of replicas, grace times of participants, and what a dead replica leaves behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Final

from app.background import Background
from app.backoff import Backoff
from app.observability.logging import log_bug
from app.realtime.departures import Departed, Departures
from app.realtime.member import Member
from app.realtime.rooms import Rooms
from app.sessions.errors import SessionError
from app.sessions.service import SessionService
from app.store.replicas import RedisReplicas
from app.store.sessions import RedisSessions

__all__ = ["Presence"]

_SWEEP_CLAIM_SECONDS: Final = 10.0
_MIN_PAUSE_SECONDS: Final = 0.1
_MAX_RENEWAL_PAUSE_SECONDS: Final = 0.5
_MAX_REPAIR_PAUSE_SECONDS: Final = 2.0
_REATTACHING_SECONDS: Final = 5.0
_LATE_ATTACHMENT_SECONDS: Final = 3.0
_MAX_DETACHED_AT_ONCE: Final = 500
_MAX_CONCURRENT: Final = 20
_THIS_REPLICA: Final = ""

_logger = logging.getLogger(__name__)


class Presence:
    """Keeps this replica's lease, and does what is due for sessions that no living replica looks after."""

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
        self._departures = Departures(self._tell)
        # By the replica looked after, which may be this one.
        self._repairs: dict[str, asyncio.Task[None]] = {}
        self._background = Background("take-over", _logger)
        self._known = False

    def look_after(self, rooms: Rooms) -> None:
        """From now on the members in these rooms are those of this replica."""
        self._rooms = rooms

    async def keep_lease(self, details: Mapping[str, str]) -> None:
        """Renews the lease, for ever; takes over from replicas whose lease has run out.

        ``details``: what the other replicas need to know of this one.
        """
        await _for_ever(partial(self._renew, details), self._lease / 3)

    async def sweep(self) -> None:
        """Removes, for ever, participants whose grace time is over, whichever replica they were at."""
        await _for_ever(self._sweep_due, min(1.0, max(0.02, self._grace / 4)))

    def disconnected(self, code: str, connection: str, *, recovery: str | None = None, attaching: bool = False) -> None:
        """A connection is gone from a session; Redis is told as soon as it can be.

        ``recovery``: its recovery id, if that continues nobody any more.
        ``attaching``: what attaches it may still be under way, by a connection to Redis that was given up, and come
        after this. So Redis is told once more.
        """
        self._departures.add(code, connection, recovery)
        if attaching:
            loop = asyncio.get_running_loop()
            loop.call_later(
                _LATE_ATTACHMENT_SECONDS, self._departures.add, code, connection, recovery, context=Context()
            )

    def disconnected_while_attaching(self, code: str, connection: str) -> None:
        """A connection is gone whose attachment may still be under way."""
        self.disconnected(code, connection, attaching=True)

    def schedule_sweep_after_loss(self, code: str) -> None:
        """Redis has gone back in time, and with it who is connected: those who are not are found by a sweep."""
        self._departures.schedule_sweep(code)

    async def settle(self, timeout: float) -> None:
        """Waits until Redis knows of all that are gone, ``timeout`` seconds at the most; then gives up the lease."""
        await self._background.close()
        await self._departures.settle(timeout)
        try:
            await self._replicas.deregister()
        except SessionError:
            _logger.warning("cannot release the replica lease: Redis is unavailable")

    async def _tell(self, code: str, departed: Departed) -> None:
        names = list(departed.connections.items())
        for start in range(0, len(names), _MAX_DETACHED_AT_ONCE):
            gone = dict(names[start : start + _MAX_DETACHED_AT_ONCE])
            await self._take_away(code, partial(self._service.detach, code, gone))
        if departed.others:
            living = [member.connection for member in self._members() if member.code == code]
            await self._take_away(code, partial(self._reap_session, self._replicas.name, code, living))
        if departed.needs_sweep:
            await self._replicas.schedule(code, self._replicas.now() + round(_REATTACHING_SECONDS * 1000))

    async def _take_away(self, code: str, step: Callable[[], Awaitable[int]]) -> None:
        """Has a session swept after ``step``, which says when the grace time of those it leaves alone is over.

        It is scheduled before, for this replica may die any moment; and again when the step was done so late that
        nobody may have been away yet when the sweep came.
        """
        scheduled = self._replicas.now() + self._grace_milliseconds
        await self._replicas.schedule(code, scheduled)
        due = await step()
        if due >= scheduled + self._grace_milliseconds:
            await self._replicas.schedule(code, due)

    def _members(self) -> Iterable[Member]:
        return () if self._rooms is None else self._rooms.members

    async def _renew(self, details: Mapping[str, str]) -> None:
        lease = await self._replicas.renew(details)
        if not lease.lapsed:
            for replica in lease.dead:
                if replica not in self._repairs:
                    self._repair(replica, self._take_over(replica))
        elif self._known and self._rooms is not None:
            # Whatever kept this replica from Redis may have kept the others; they get the time to say so, too.
            _logger.warning("the lease had run out; attaching all members again")
            self._repair(_THIS_REPLICA, _retry_until_done(self._rooms.reattach_all))
        self._known = True

    def _repair(self, replica: str, work: Coroutine[object, None, None]) -> None:
        """Starts work that no renewal has to wait for; what was under way for the same replica is given up."""
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
            # What fails for one session is left to the next renewal; the others do not wait for it.
            failures = await _each(
                codes, lambda code: self._take_away(code, partial(self._reap_session, replica, code))
            )
            if done := [code for code in codes if code not in failures]:
                await self._replicas.mark_reaped(replica, done)
            else:
                raise next(iter(failures.values()))
        await self._replicas.forget(replica)
        _logger.info("a replica's lease has run out; its members have their grace time", extra={"replica": replica})

    async def _reap_session(self, replica: str, code: str, living: list[str] | None = None) -> int:
        """``living``: its connections that are not gone, of a replica that lives."""
        with _if_it_exists():
            return await self._store.reap(code, replica, living=living, grace=self._grace_milliseconds)
        return 0

    async def _sweep_due(self) -> None:
        due = await self._replicas.claim_due(_SWEEP_CLAIM_SECONDS)

        async def sweep(code: str) -> None:
            next_due = 0
            with _if_it_exists():
                next_due = (await self._store.sweep(code, grace=self._grace_milliseconds)).next_due
            await self._replicas.settle(code, due.claim, next_due)

        # Those for which it fails are due again when the claim is over.
        failures = await _each(due.codes, sweep)
        if failures and len(failures) == len(due.codes):
            raise next(iter(failures.values()))


@contextmanager
def _if_it_exists() -> Iterator[None]:
    """For a step on a session that may have ended."""
    try:
        yield
    except SessionError as error:
        if error.code != "session-not-found":
            raise


async def _each(codes: Sequence[str], work: Callable[[str], Awaitable[None]]) -> dict[str, SessionError]:
    """Does the work for each session, several side by side; the sessions for which it failed."""
    turns = asyncio.Semaphore(_MAX_CONCURRENT)
    failures: dict[str, SessionError] = {}

    async def do(code: str) -> None:
        async with turns:
            try:
                await work(code)
            except SessionError as error:
                failures[code] = error
            except Exception as error:
                log_bug(_logger, "looking after a session has failed", error)
                failures[code] = SessionError("internal-error")

    await asyncio.gather(*(do(code) for code in codes))
    return failures


async def _retry_until_done(work: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_REPAIR_PAUSE_SECONDS)
    while True:
        try:
            return await work()
        except SessionError:
            await asyncio.sleep(backoff.next())


async def _for_ever(step: Callable[[], Awaitable[None]], interval: float) -> None:
    backoff = Backoff(_MIN_PAUSE_SECONDS, min(interval, _MAX_RENEWAL_PAUSE_SECONDS))
    while True:
        pause = interval
        try:
            await step()
            backoff.reset()
        except SessionError:
            pause = backoff.next()
        except Exception as error:
            # A bug that concerns one session must not cost all the others their lease or their sweep.
            log_bug(_logger, "background task failed", error)
        await asyncio.sleep(pause)
