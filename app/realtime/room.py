"""The members of one session at this replica, and how they receive its newest state.

Redis holds the state; an announcement on the session's channel only says that it has changed. A room reads the state
once for all its members, encodes it once and sends it to those who have not received it. The first change is sent at
once, the changes of a burst at intervals that grow with the bytes to send. Members who have just joined do not wait for
the interval; if many join a large session at once, one read serves them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from typing import Final

import orjson
from opentelemetry.trace import Span

from app.background import Background
from app.backoff import Backoff
from app.realtime.member import Emitter, Member
from app.realtime.pace import Pace
from app.realtime.telemetry import Telemetry
from app.sessions.answers import error_body
from app.sessions.errors import SessionError
from app.sessions.model import Head, Session
from app.socketio_server import Encoded
from app.store.announcements import Announcement
from app.store.sessions import RedisSessions

__all__ = ["Room"]

_MIN_PAUSE_SECONDS: Final = 0.05
_MAX_PAUSE_SECONDS: Final = 1.0
# The default limit of links of a span.
_MAX_SPAN_LINKS: Final = 128
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
        self._encoded: tuple[Head, Encoded] | None = None
        self._highest: Head | None = None
        self._stale = False
        # Announcements of changes that members have not received.
        self._pending_announcements: list[Announcement] = []
        self._newcomers: set[Member] = set()
        self._pace = Pace(asyncio.get_running_loop().time)
        self._backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        self._woken = asyncio.Event()
        self._background = Background("room", _logger)
        self._running = False

    def admit(self, member: Member, state: Session | None = None, announcements: Iterable[Announcement] = ()) -> None:
        """Add a member. It receives the next state that is read.

        The first member may come with the ``state`` at which it was attached, which it receives in the next turn of
        the event loop, and with the ``announcements`` that have arrived since the session is listened to.
        """
        if self.instance not in (None, member.access.credential.instance):
            for stranger in list(self.members.values()):
                self.dismiss(stranger, "expired")
            self._highest = self._encoded = None
        self.instance = member.access.credential.instance
        member.seen = None
        self.members[member.sid] = member
        self._newcomers.add(member)
        if state is None:
            self._wake()
        else:
            asyncio.get_running_loop().call_soon(self._begin, state, announcements, context=Context())

    def release(self, member: Member) -> None:
        """Remove a member without notifying it."""
        self.members.pop(member.sid, None)
        self._newcomers.discard(member)

    def announced(self, announcement: Announcement) -> None:
        """Handle an announcement. Announcements may be late, out of order or lost."""
        head, highest = announcement.head, self._highest
        if head and highest and head.epoch == highest.epoch and head.version <= highest.version and not self._behind():
            self._note_shown(announcement)
            return
        if len(self._pending_announcements) < _MAX_SPAN_LINKS:
            self._pending_announcements.append(announcement)
        self.refresh()

    def verify(self, head: Head | None) -> int:
        """Compare with the head in Redis; read again if it differs. Return how many versions the room is behind."""
        if head == self._highest and not self._behind():
            return 0
        if not self._running:
            # No announcement has arrived.
            self._telemetry.resynced("heartbeat")
        self.refresh()
        highest = self._highest
        return max(0, head.version - highest.version) if head and highest and head.epoch == highest.epoch else 0

    def refresh(self) -> None:
        """Read the state again, because something may have been missed."""
        self._stale = True
        self._wake()

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
        await self._background.close()

    def _note_shown(self, announcement: Announcement) -> None:
        """Count a change that all members already received, with a state read before its announcement."""
        with self._telemetry.delivering(_traces([announcement])) as span:
            span.set_attribute(_SOCKETS, 0)
            self._telemetry.delivered(0, [announcement.committed])

    def _begin(self, state: Session, announcements: Iterable[Announcement]) -> None:
        """Show the first member the state at which it was attached, unless the session is read already."""
        if not self._running:
            with self._telemetry.delivering(()) as span:
                self._take(state, set(self._newcomers), (), span, everybody=False)
        for announcement in announcements:
            self.announced(announcement)

    def _behind(self) -> bool:
        return any(member.seen != self._highest for member in self.members.values())

    def _wake(self) -> None:
        self._woken.set()
        if not self._running:
            self._running = True
            self._background.start(self._run())

    async def _run(self) -> None:
        try:
            while self.members and (self._stale or self._newcomers):
                if not await self._waited():
                    await self._catch_up()
        finally:
            # Set in the same turn of the event loop as the last check of the condition, so that no wake-up is lost.
            self._running = False

    async def _catch_up(self) -> None:
        try:
            await self._read()
            self._backoff.reset()
        except SessionError:
            self._stale = True
            await asyncio.sleep(self._backoff.next())

    async def _waited(self) -> bool:
        """Wait for the next time to read, or for a newcomer; return False if it is time to read."""
        remaining = self._pace.remaining(newcomers=bool(self._newcomers))
        if remaining <= 0:
            return False
        self._woken.clear()
        try:
            async with asyncio.timeout(remaining):
                await self._woken.wait()
        except TimeoutError:
            pass
        return True

    async def _read(self) -> None:
        newcomers = set(self._newcomers)
        everybody = self._pace.is_update_due()
        announcements: list[Announcement] = []
        if everybody:
            self._stale = False
            announcements = self._pending_announcements.copy()
        with self._telemetry.delivering(_traces(announcements)) as span:
            session = await self._store.read(self.code)
            del self._pending_announcements[: len(announcements)]
            if session is None or session.instance != self.instance:
                await self._end(self.instance or "")
                return
            self._take(session, newcomers, announcements, span, everybody=everybody)

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
        self._newcomers -= newcomers
        if self._highest is not None and self._highest.epoch != session.head.epoch:
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
            if member.seen != session.head and member.sid in self.members
        ]
        self._highest = session.head
        if not behind:
            return 0
        if self._encoded is None or self._encoded[0] != session.head:
            update = self._emitter.encode(
                "session-update", orjson.Fragment(session.data), session.meta, str(session.head)
            )
            self._encoded = (session.head, update)
        update = self._encoded[1]
        for member in behind:
            member.seen = session.head
        self._emitter.deliver([member.sid for member in behind], update, latest=self.code)
        if everybody:
            self._pace.updated(update.size, len(behind))
        else:
            self._pace.welcomed(update.size)
        return len(behind)

    def _check_members(self, session: Session) -> None:
        for member in list(self.members.values()):
            if member.since.epoch == session.head.epoch and member.since.version > session.head.version:
                continue
            entry = session.participants.get(member.participant)
            if entry is not None:
                member.name = entry.name
            # The session does not show whether Redis still has a connection of an earlier epoch.
            known = entry is not None and entry.connected and member.since.epoch == session.head.epoch
            if entry is not None and entry.order == member.membership_id and known:
                if entry.owner not in (None, member.connection):
                    self.dismiss(member, "replaced")
            elif entry is None and member.participant in session.removed:
                self.dismiss(member, "kicked")
            elif not member.reattaching and not member.leaving:
                member.reattaching = True
                self._background.start(self._reattach(member))

    async def _end(self, instance: str) -> None:
        reason = await self._store.end_reason(self.code, instance)
        for member in list(self.members.values()):
            if member.access.credential.instance == instance:
                self.dismiss(member, reason)


def _traces(announcements: Sequence[Announcement]) -> list[str]:
    return [announcement.trace for announcement in announcements if announcement.trace]
