"""One session's members at this replica, and how they come to see its newest state.

Redis has the truth; a message on the session's channel is only a hint that it has changed. A room reads the state once
for all its members, encodes it once, and shows it to those who have not seen it: the first change at once, a burst of
changes at an interval that grows with the bytes to be sent. Members who have just joined do not wait for the interval;
where many join a large session within a moment one reading does for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

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
# As many as a span has links by default.
_MAX_SPAN_LINKS: Final = 128
_SOCKETS: Final = "join_session.sockets"

_logger = logging.getLogger(__name__)


class Room:
    """The members of one session at this replica, who are shown its newest state.

    ``reattach`` attaches a member again that Redis has lost; ``removed`` is called with members told to go, ``lost``
    when Redis has lost changes.
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
        # Of changes that members have not seen.
        self._pending_announcements: list[Announcement] = []
        self._newcomers: set[Member] = set()
        self._pace = Pace(asyncio.get_running_loop().time)
        self._backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        self._woken = asyncio.Event()
        self._background = Background("room", _logger)
        self._running = False

    def admit(self, member: Member) -> None:
        """Takes a member in; it will be shown the state that is read from now on."""
        if self.instance not in (None, member.access.credential.instance):
            for stranger in list(self.members.values()):
                self.dismiss(stranger, "expired")
            self._highest = self._encoded = None
        self.instance = member.access.credential.instance
        member.seen = None
        self.members[member.sid] = member
        self._newcomers.add(member)
        self._wake()

    def release(self, member: Member) -> None:
        """Lets a member go without a word."""
        self.members.pop(member.sid, None)
        self._newcomers.discard(member)

    def announced(self, announcement: Announcement) -> None:
        """A change was announced. Announcements may come late, out of order, or never."""
        head, highest = announcement.head, self._highest
        if head and highest and head.epoch == highest.epoch and head.version <= highest.version and not self._behind():
            self._note_shown(announcement)
            return
        if len(self._pending_announcements) < _MAX_SPAN_LINKS:
            self._pending_announcements.append(announcement)
        self.refresh()

    def verify(self, head: Head | None) -> int:
        """Redis says that the session stands at ``head``; how many versions that is beyond what was shown here."""
        if head == self._highest and not self._behind():
            return 0
        if not self._running:
            # Nobody had told that there is something to do.
            self._telemetry.resynced("heartbeat")
        self.refresh()
        highest = self._highest
        return max(0, head.version - highest.version) if head and highest and head.epoch == highest.epoch else 0

    def refresh(self) -> None:
        """Reads the state again: nobody knows what was missed."""
        self._stale = True
        self._wake()

    def dismiss(self, member: Member, reason: str) -> None:
        """Ends a membership from this side: the client is told why, once, and in the words that every client knows."""
        self.release(member)
        ended = self._emitter.encode("session-ended", {"sessionID": self.code, "reason": reason})
        self._emitter.deliver([member.sid], ended)
        not_found = self._emitter.encode("error", error_body(SessionError("session-not-found")))
        self._emitter.deliver([member.sid], not_found)
        self._removed(member)

    async def close(self) -> None:
        """Stops what is still running."""
        await self._background.close()

    def _note_shown(self, announcement: Announcement) -> None:
        """The change was in a state that everybody has got, faster than its announcement."""
        with self._telemetry.delivering(_traces([announcement])) as span:
            span.set_attribute(_SOCKETS, 0)
            self._telemetry.delivered(0, [announcement.committed])

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
            # In the same turn as the last look at what there is to do, so that nothing that comes later is missed.
            self._running = False

    async def _catch_up(self) -> None:
        try:
            await self._read()
            self._backoff.reset()
        except SessionError:
            self._stale = True
            await asyncio.sleep(self._backoff.next())

    async def _waited(self) -> bool:
        """Waits for the next time to read, or until somebody comes; false when that time is now."""
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
        """Sends the state to those who have not seen it; how many that are."""
        behind = [
            member
            for member in (self.members.values() if everybody else newcomers)
            if member.seen != session.head and member.sid in self.members
        ]
        self._highest = session.head
        if not behind:
            return 0
        if self._encoded is None or self._encoded[0] != session.head:
            update = self._emitter.encode("session-update", session.data, session.meta, str(session.head))
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
            entry = session.members.get(member.participant)
            if entry is not None:
                member.name = entry.name
            # Whether Redis knows a connection that was made in another epoch is not to be seen in the session.
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
