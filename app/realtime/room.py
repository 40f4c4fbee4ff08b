"""The members of one session at this replica, and how they receive its newest state.

Redis holds the state. Announcements on the session's channel carry what has changed, and the store applies that to what
was read before. If one was lost or carries nothing, a room reads the state once for all its members; it also does so
every few minutes. The state is encoded once and sent to those who have not received it: the first change at once, the
changes of a burst at intervals that grow with the bytes and the sockets. Members who have just joined do not wait for
the interval.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from functools import partial
from typing import Final

from opentelemetry.trace import Span

from app.background import Background
from app.backoff import Backoff
from app.realtime.decisions import tell_decision
from app.realtime.member import Emitter, Member
from app.realtime.own_votes import OwnVotes
from app.realtime.pace import Pace
from app.realtime.telemetry import Telemetry
from app.realtime.updates import Updates
from app.sessions.answers import error_body
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.sessions.model import Session
from app.store.announcements import Announcement
from app.store.sessions import RedisSessions

__all__ = ["Room"]

_MIN_PAUSE_SECONDS: Final = 0.05
_MAX_PAUSE_SECONDS: Final = 1.0
# Redis can lose a change and give its version to another one, of which announcements say nothing.
_READ_AGAIN_SECONDS: Final = 300.0
# The default limit of links of a span.
_MAX_SPAN_LINKS: Final = 128
# Changes that are announced during a read. If there are more, it is read again.
_MAX_UNAPPLIED: Final = 64
_SOCKETS: Final = "join_session.sockets"

_logger = logging.getLogger(__name__)


class Room:
    """The members of one session at this replica.

    ``reattach`` attaches a member that Redis has lost. ``removed`` is called with each member that was dismissed,
    ``lost`` if Redis has lost changes.
    """

    def __init__(
        self,
        code: str,
        store: RedisSessions,
        emitter: Emitter,
        telemetry: Telemetry,
        *,
        reattach: Callable[[Member], Coroutine[object, None, None]],
        removed: Callable[[Member], None],
        lost: Callable[[], None],
    ) -> None:
        self.code = code
        self.instance: str | None = None
        self.members: dict[str, Member] = {}
        self._store = store
        self._emitter = emitter
        self._reattach = reattach
        self._removed = removed
        self._lost = lost
        self._telemetry = telemetry
        self._updates = Updates(emitter, store.now)
        self._own_votes = OwnVotes(code, store, emitter, self.members)
        # Whether there may be something that not all members have received.
        self._stale = False
        # Whether a later state than the mirrored one may be in Redis.
        self._must_read = True
        self._reading = False
        self._is_just_read = False
        # Announced during the read, and not applied yet.
        self._unapplied: list[Announcement] = []
        self._read_again_at = 0.0
        # Announcements of changes that members have not received.
        self._pending_announcements: list[Announcement] = []
        # Who has not received any state, and whether the session was read since they were attached.
        self._newcomers: dict[Member, bool] = {}
        # Who is not known to be in the session, and that in which the others are.
        self._unchecked: set[Member] = set()
        self._checked: Session | None = None
        self._clock = asyncio.get_running_loop().time
        self._pace = Pace(self._clock)
        self._backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        self._background = Background("room", _logger)
        self._turn: asyncio.Handle | None = None
        self._turn_at = 0.0

    def admit(self, member: Member, state: Session | None = None, announcements: Iterable[Announcement] = ()) -> None:
        """Add a member. It receives the newest state in the next turn of the event loop, or when that is read.

        The first member may come with the ``state`` at which it was attached, and with the ``announcements`` that have
        arrived since the session is listened to.
        """
        if self.instance not in (None, member.access.credential.instance):
            for stranger in list(self.members.values()):
                self.dismiss(stranger, "expired")
            self._updates.forget()
        self.instance = member.access.credential.instance
        member.seen = None
        self.members[member.sid] = member
        self._newcomers[member] = False
        self._unchecked.add(member)
        if state is not None:
            self._must_read = False
            self._read_again_later()
            for announcement in announcements:
                self.announced(announcement)
        self._schedule()

    def release(self, member: Member) -> None:
        """Remove a member without notifying it."""
        self.members.pop(member.sid, None)
        self._newcomers.pop(member, None)
        self._unchecked.discard(member)
        if member.patches:
            # What waits to be made for it would show a state that is no longer its own, and keep that in memory.
            self._emitter.deliver([member.sid], lambda: None, latest=self.code)

    def announced(self, announcement: Announcement) -> None:
        """Handle an announcement. Announcements may be late, out of order or lost."""
        head, highest = announcement.head, self._updates.newest
        if announcement.rerated is not None:
            self._own_votes.changed(announcement.rerated)
        if not self._store.apply(self.code, announcement):
            if self._reading and len(self._unapplied) < _MAX_UNAPPLIED:
                self._unapplied.append(announcement)
            else:
                self._must_read = True
        if head and highest and head.epoch == highest.epoch and head.version <= highest.version and not self._behind():
            self._note_shown(announcement)
            return
        if len(self._pending_announcements) < _MAX_SPAN_LINKS:
            self._pending_announcements.append(announcement._replace(changes=None))
        self._stale = True
        self._schedule()

    @property
    def known(self) -> Head | None:
        """The newest head that is known, whether or not members have received it."""
        session = self._store.mirrored(self.code)
        return None if session is None else session.head

    def verify(self, head: Head | None, before: Head | None) -> int:
        """Compare with the head in Redis, of which ``before`` was known when it was asked for.

        Read again if it is another one. Return how many versions the room is behind.
        """
        known, highest = self.known, self._updates.newest
        if head is None or known is None or not known.includes(head) or (before and not head.includes(before)):
            if not (self._reading or self._must_read):
                # No announcement has arrived.
                self._telemetry.resynced("heartbeat")
            self.refresh()
        return max(0, head.version - highest.version) if head and highest and head.epoch == highest.epoch else 0

    def catch_up(self) -> None:
        """Read in full from time to time, and send what members should have received."""
        if self._clock() >= self._read_again_at:
            self.refresh()
        elif self.known != self._updates.newest or self._behind():
            self._stale = True
            self._schedule()

    def refresh(self) -> None:
        """Read the state again, because something may have been missed."""
        self._stale = self._must_read = True
        self._checked = None
        self._schedule()

    def dismiss(self, member: Member, reason: str) -> None:
        """End a membership: send the reason, then the error of an unknown session, which every client handles."""
        self.release(member)
        ended = self._emitter.encode("session-ended", {"sessionID": self.code, "reason": reason})
        self._emitter.deliver([member.sid], ended)
        not_found = self._emitter.encode("error", error_body(SessionError("session-not-found")))
        self._emitter.deliver([member.sid], not_found)
        self._removed(member)

    async def close(self) -> None:
        """Stop the background tasks."""
        if self._turn is not None:
            self._turn.cancel()
        self.members.clear()
        await self._own_votes.close()
        await self._background.close()

    def _note_shown(self, announcement: Announcement) -> None:
        """Count a change that all members already received, with a state read before its announcement."""
        with self._telemetry.delivering(_traces([announcement])) as span:
            span.set_attribute(_SOCKETS, 0)
            self._telemetry.delivered(0, [announcement.committed])

    def _behind(self) -> bool:
        newest = self._updates.newest
        return any(member.seen != newest for member in self.members.values())

    def _schedule(self) -> None:
        """Send the state as soon as the pace allows, in a later turn of the event loop."""
        if self._reading or not self.members or not (self._stale or self._newcomers):
            return
        delay = max(0.0, self._pace.remaining(newcomers=bool(self._newcomers)))
        at = self._clock() + delay
        if self._turn is not None:
            if self._turn_at <= at:
                return
            self._turn.cancel()
        self._turn_at = at
        self._turn = asyncio.get_running_loop().call_later(delay, self._send_newest, context=Context())

    def _send_newest(self) -> None:
        self._turn = None
        if not self.members:
            return
        session = self._certain()
        if session is None:
            self._reading = True
            self._background.start(self._read())
            return
        self._is_just_read = False
        # Who was attached during the read may be in a later state, and waits for that.
        newcomers = {member for member in self._newcomers if self._may_be_shown(session, member)}
        everybody = self._pace.is_update_due()
        announcements: list[Announcement] = []
        if everybody:
            # If there was more during the read it is shown all the same, and read again when the pace allows.
            self._stale = self._must_read
            announcements, self._pending_announcements = self._pending_announcements, []
        with self._telemetry.delivering(_traces(announcements)) as span:
            self._take(session, newcomers, announcements, span, everybody=everybody)
        self._schedule()

    def _certain(self) -> Session | None:
        """Return the mirrored state, unless it was not just read and a later one may be in Redis."""
        session = self._store.mirrored(self.code)
        if session is None or session.instance != self.instance:
            return None
        if self._is_just_read:
            return session
        if self._must_read:
            return None
        return session if all(self._may_be_shown(session, member) for member in self._newcomers) else None

    def _may_be_shown(self, session: Session, newcomer: Member) -> bool:
        """Return whether a state is not older than the one at which a newcomer was attached."""
        return self._newcomers[newcomer] or session.head.includes(newcomer.since)

    async def _read(self) -> None:
        newcomers = list(self._newcomers)
        self._must_read = False
        self._unapplied.clear()
        try:
            session = await self._store.read(self.code)
            self._backoff.reset()
            if session is None or session.instance != self.instance:
                await self._end(self.instance or "")
                self._stale = False
                # For those whom a join that was faster than the end has yet to bring here.
                self._must_read = True
            else:
                self._newcomers.update((member, True) for member in newcomers if member in self._newcomers)
                self._read_again_later()
                self._is_just_read = True
                self._apply_missed()
        except SessionError:
            self._stale = self._must_read = True
            await asyncio.sleep(self._backoff.next())
        finally:
            self._reading = False
        # In the turn of the event loop in which it is known to be read, so that nothing is missed. Not after a bug.
        self._schedule()

    def _apply_missed(self) -> None:
        """Apply the changes that were announced during a read, some of which it may have found."""
        applied = [self._store.apply(self.code, announcement) for announcement in self._unapplied]
        if not all(applied):
            self._must_read = True
        self._unapplied.clear()

    def _read_again_later(self) -> None:
        self._read_again_at = self._clock() + random.uniform(0.5, 1) * _READ_AGAIN_SECONDS  # noqa: S311 - jitter

    def _take(
        self,
        session: Session,
        newcomers: set[Member],
        announcements: Sequence[Announcement],
        span: Span,
        *,
        everybody: bool,
    ) -> None:
        """Handle a state of the session."""
        for member in newcomers:
            self._newcomers.pop(member, None)
        newest = self._updates.newest
        if newest is not None and newest.epoch != session.head.epoch:
            self._telemetry.resynced("loss")
            self._lost()
        self._check_members(session)
        shown = self._show(session, newcomers, everybody=everybody)
        span.set_attribute(_SOCKETS, shown)
        if shown:
            self._telemetry.delivered(shown, [each.committed for each in announcements])

    def _show(self, session: Session, newcomers: set[Member], *, everybody: bool) -> int:
        """Send the state to the members who have not received it; return their number."""
        behind = [
            member
            for member in (self.members.values() if everybody else newcomers)
            if member.seen != session.head and member.sid in self.members and member not in self._newcomers
        ]
        self._updates.show(session, {member.written for member in self.members.values() if member.patches})
        if not behind:
            return 0
        tell_decision(self._emitter, session, behind)
        whole = [member.sid for member in behind if not member.patches]
        size = 0
        if whole:
            update = self._updates.whole()
            size = len(update.websocket) * len(whole)
            self._emitter.deliver(whole, update, latest=self.code)
        made = self._updates.bytes_made
        for member in behind:
            if member.patches:
                self._emitter.deliver([member.sid], partial(self._updates.next_for, member), latest=self.code)
        size += self._updates.bytes_made - made
        for member in behind:
            member.seen = session.head
        if everybody:
            self._pace.updated(size, len(behind))
        else:
            self._pace.welcomed(size // len(behind))
        return len(behind)

    def _check_members(self, session: Session) -> None:
        """Find out who is not in the session any more: of all members, if those who are in it have changed."""
        is_same = self._checked is not None and session.has_people_of(self._checked)
        self._checked = session
        for member in list(self._unchecked if is_same else self.members.values()):
            if self._is_in(session, member):
                self._unchecked.discard(member)
            elif member.sid in self.members:
                self._unchecked.add(member)

    def _is_in(self, session: Session, member: Member) -> bool:
        """Return whether a member is in the session; dismiss it, or attach it again, if it is not."""
        if member.since.epoch == session.head.epoch and member.since.version > session.head.version:
            return False
        if member.observes and member.since.epoch == session.head.epoch:
            return True
        entry = session.participants.get(member.participant)
        if entry is not None:
            member.name = entry.name
        # The session does not show whether Redis still has a connection of an earlier epoch.
        known = entry is not None and entry.connected and member.since.epoch == session.head.epoch
        if entry is not None and entry.order == member.membership_id and known:
            if entry.owner in (None, member.connection):
                return True
            self.dismiss(member, "replaced")
        elif entry is None and member.participant in session.removed:
            self.dismiss(member, "kicked")
        elif not member.reattaching and not member.leaving:
            member.reattaching = True
            self._background.start(self._reattach(member))
        return False

    async def _end(self, instance: str) -> None:
        reason = await self._store.end_reason(self.code, instance)
        if reason == "lost":
            self._telemetry.session_lost()
        for member in list(self.members.values()):
            if member.access.credential.instance == instance:
                self.dismiss(member, reason)


def _traces(announcements: Sequence[Announcement]) -> list[str]:
    return [announcement.trace for announcement in announcements if announcement.trace]
