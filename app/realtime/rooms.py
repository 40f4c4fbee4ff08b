"""The sessions that have members at this replica."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from app.background import Background
from app.deadline import context_without_deadline
from app.realtime.lifetime import Lifetime
from app.realtime.member import Emitter, Member
from app.realtime.members import Members
from app.realtime.room import Room
from app.realtime.subscriptions import Subscriptions
from app.realtime.telemetry import Telemetry
from app.sessions.errors import SessionError
from app.sessions.service import SessionService
from app.sessions.steps import Attached, ContinuedMembership
from app.store.announcements import Announcement
from app.store.recoveries import RedisRecoveries
from app.store.sessions import RedisSessions

__all__ = ["Rooms"]

_HEARTBEAT_SECONDS: Final = 2.0
_HEARTBEAT_BATCH: Final = 500
# Within this time each session is compared.
_COMPARISON_SECONDS: Final = 60.0
_MAX_EARLY: Final = 16
# By then a replica that looks for sessions that are due has come by.
_OVERDUE_MILLISECONDS: Final = 3000

_logger = logging.getLogger(__name__)


class Rooms:
    """The rooms of this replica, by session.

    ``is_heard`` returns whether each change of a session is announced. ``on_loss`` is called with sessions of which
    Redis lost changes, ``on_disconnected`` with the session and name of a connection that may be attached although its
    member is gone.
    """

    def __init__(
        self,
        service: SessionService,
        store: RedisSessions,
        subscriptions: Subscriptions,
        recoveries: RedisRecoveries,
        emitter: Emitter,
        telemetry: Telemetry,
        *,
        is_heard: Callable[[str], bool],
        on_loss: Callable[[str], None],
        on_disconnected: Callable[[str, str], None],
        expiry_warning: float,
    ) -> None:
        self.members = Members()
        self._expiry_warning = expiry_warning
        self._service = service
        self._store = store
        self._subscriptions = subscriptions
        self._recoveries = recoveries
        self._emitter = emitter
        self._is_heard = is_heard
        self._on_loss = on_loss
        self._on_disconnected = on_disconnected
        self._telemetry = telemetry
        self._rooms: dict[str, Room] = {}
        self._lifetimes: dict[str, Lifetime] = {}
        self._pins: dict[str, int] = {}
        # For sessions that are about to have a room: the announcements so far, and whether some may be missing.
        self._early: dict[str, list[Announcement]] = {}
        self._missed: set[str] = set()
        # Sessions that are still to be compared in this round.
        self._uncompared: list[str] = []
        self._background = Background("rooms", _logger)

    @property
    def session_count(self) -> int:
        return len(self._rooms)

    @asynccontextmanager
    async def listening(self, code: str) -> AsyncIterator[None]:
        """Receive announcements of the session during the block, and afterwards while it has members."""
        self._pins[code] = self._pins.get(code, 0) + 1
        self._store.watch(code)
        try:
            await self._subscriptions.open(code)
            yield
        finally:
            self._pins[code] -= 1
            if not self._pins[code]:
                del self._pins[code]
                self._early.pop(code, None)
                self._missed.discard(code)
            self._release_empty(code)

    def __contains__(self, code: str) -> bool:
        """Return whether a session has a room."""
        return code in self._rooms

    def admit(self, member: Member, attached: Attached) -> Member | None:
        """Add a member, within ``listening``; return the member that its socket was in another session."""
        code = member.code
        room = self._rooms.get(code)
        first_state = None
        if room is None:
            room = self._rooms[code] = self._new_room(code)
            first_state = attached.session if code not in self._missed else None
        former = self.members.get(member.sid)
        if former is not None:
            self._forget(former)
        self.members.add(member)
        room.admit(member, first_state, self._early.pop(code, ()))
        if code not in self._lifetimes:
            self._lifetimes[code] = Lifetime(
                code, self._store, self._emitter, room, attached.extended, warning=self._expiry_warning
            )
        return former if former is not None and former.code != code else None

    def release(self, sid: str) -> Member | None:
        """Remove a socket's member without notifying it; return the member."""
        member = self.members.get(sid)
        if member is not None:
            self._forget(member)
        return member

    def announced(self, code: str, announcement: Announcement) -> None:
        """Pass an announcement to the session's room."""
        if room := self._rooms.get(code):
            room.announced(announcement)
        elif code in self._pins:
            early = self._early.setdefault(code, [])
            early.append(announcement)
            if len(early) > _MAX_EARLY:
                self._missed.add(code)
                early.clear()

    def extended(self, code: str, expires_at: int) -> None:
        """Note another time of expiry of a session; its members see it with the next change."""
        self._store.extended(code, expires_at)

    def missed(self, codes: Iterable[str] | None = None) -> None:
        """Refresh these sessions, or all, because announcements may have been missed."""
        for code in {*self._rooms, *self._pins} if codes is None else codes:
            if code in self._pins:
                self._missed.add(code)
            if room := self._rooms.get(code):
                self._telemetry.resynced("gap")
                room.refresh()

    async def reattach_all(self) -> None:
        """Attach every member again: other replicas may have removed them, taking this replica for dead."""
        await self._subscriptions.list_again()
        for member in self.members:
            if member in self.members and not member.leaving:
                await self._reattach(member)

    async def keep_up(self) -> None:
        """Let the rooms catch up, and compare, forever, their heads with those in Redis.

        Every time those of sessions that may not be heard of, and a share of the others, which are compared only in
        case that something goes wrong that nobody has thought of.
        """
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            for room in self._rooms.values():
                room.catch_up()
            await self._compare(list({*self._unheard(), *self._share()}))
            for code in self._overdue():
                with suppress(SessionError):
                    await self._store.decide_due(code)

    def _overdue(self) -> list[str]:
        """Return the sessions whose decision should have come: nobody was told that it would be due."""
        late = self._store.now() - _OVERDUE_MILLISECONDS
        sessions = filter(None, map(self._store.mirrored, self._rooms))
        return [session.code for session in sessions if session.decide_at is not None and session.decide_at < late]

    def _unheard(self) -> list[str]:
        return [code for code in self._rooms if not self._is_heard(code)]

    def _share(self) -> list[str]:
        """Return the next of all sessions to compare, in a random order."""
        if not self._uncompared:
            self._uncompared = random.sample(list(self._rooms), len(self._rooms))
        count = math.ceil(len(self._rooms) * _HEARTBEAT_SECONDS / _COMPARISON_SECONDS)
        share, self._uncompared = self._uncompared[:count], self._uncompared[count:]
        return share

    async def _compare(self, codes: Sequence[str]) -> None:
        """Compare heads with those in Redis."""
        lag = 0
        for start in range(0, len(codes), _HEARTBEAT_BATCH):
            batch = codes[start : start + _HEARTBEAT_BATCH]
            known = {code: room.known for code in batch if (room := self._rooms.get(code))}
            try:
                heads = await self._store.heads(list(known))
            except SessionError:
                return
            for (code, before), head in zip(known.items(), heads, strict=True):
                if room := self._rooms.get(code):
                    lag = max(lag, room.verify(head, before))
        self._telemetry.lagging(lag)

    async def close(self) -> None:
        for lifetime in self._lifetimes.values():
            lifetime.close()
        await asyncio.gather(*(room.close() for room in self._rooms.values()))
        await self._subscriptions.close()
        await self._background.close(timeout=None)

    def _new_room(self, code: str) -> Room:
        return Room(
            code,
            self._store,
            self._emitter,
            self._telemetry,
            reattach=self._reattach,
            removed=self._removed,
            lost=lambda: self._on_loss(code),
        )

    def _forget(self, member: Member) -> None:
        self.members.remove(member)
        if room := self._rooms.get(member.code):
            room.release(member)
        self._release_empty(member.code)

    def _removed(self, member: Member) -> None:
        self.members.remove(member)
        self._release_empty(member.code)
        self._background.start(self._void(member.recovery), context=context_without_deadline())

    async def _void(self, recovery: str) -> None:
        """Void a recovery id. Its client was sent the reason and need not be sent it again."""
        try:
            await self._recoveries.void(recovery)
        except SessionError as error:
            _logger.debug("a recovery id was not voided", extra={"code": error.code})

    def _release_empty(self, code: str) -> None:
        room = self._rooms.get(code)
        if code in self._pins or (room is not None and room.members):
            return
        self._rooms.pop(code, None)
        self._store.unwatch(code)
        if lifetime := self._lifetimes.pop(code, None):
            lifetime.close()
        self._subscriptions.release(code)

    async def _reattach(self, member: Member) -> None:
        try:
            joined = await self._service.attach(
                member.code,
                member.access.credential,
                connection=member.connection,
                recovery=member.recovery,
                continued=ContinuedMembership(member.membership_id, member.since.epoch, member.name),
                observing=member.observes,
            )
            attached = joined.attached
            member.access, member.membership_id, member.since = joined.access, attached.membership_id, attached.head
            if member not in self.members:
                # The socket ended meanwhile, perhaps before it was attached again.
                self._on_disconnected(member.code, member.connection)
        except SessionError as error:
            if not error.retryable:
                await self._dismiss(member, error)
        finally:
            member.reattaching = False
            if room := self._rooms.get(member.code):
                room.refresh()

    async def _dismiss(self, member: Member, error: SessionError) -> None:
        """Dismiss a member that cannot be attached again, with the reason."""
        with suppress(SessionError):
            reason = await self._store.end_reason(member.code, member.access.credential.instance, member.participant)
            if (room := self._rooms.get(member.code)) and room.members.get(member.sid) is member:
                if error.code == "limit-reached":
                    # The participant has another connection.
                    reason = "replaced"
                # The participant left by another socket, so this socket has to leave, too.
                room.dismiss(member, "kicked" if reason == "left" else reason)
