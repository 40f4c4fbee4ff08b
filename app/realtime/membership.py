"""Joining, resuming, leaving and disconnecting of sockets."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from app.realtime.member import Emitter, Member
from app.realtime.presence import Presence
from app.realtime.rooms import Rooms
from app.realtime.socket_session import SocketSession
from app.realtime.telemetry import Telemetry
from app.sessions.access import Joined
from app.sessions.answers import Done, error_body
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.sessions.payloads import JoinOptions
from app.sessions.service import SessionService
from app.sessions.steps import ContinuedMembership
from app.sessions.tokens import Credential
from app.store.recoveries import Recovery, RedisRecoveries
from app.store.sessions import RedisSessions

__all__ = ["Membership", "new_recovery_id"]


class Membership:
    """Joins sockets to sessions and removes them."""

    def __init__(
        self,
        service: SessionService,
        store: RedisSessions,
        rooms: Rooms,
        presence: Presence,
        recoveries: RedisRecoveries,
        emitter: Emitter,
        telemetry: Telemetry,
    ) -> None:
        self._service = service
        self._store = store
        self._rooms = rooms
        self._presence = presence
        self._recoveries = recoveries
        self._emitter = emitter
        self._telemetry = telemetry

    async def join(self, socket: SocketSession, text: str, options: JoinOptions) -> Joined:
        """Join a socket to the session that ``text`` names, and remove it from its former session.

        The client receives ``joined-session`` before any other event of the session. If joining fails nothing changes.
        """
        member = self._rooms.members.get(socket.sid)
        present_in = member.code if member is not None else None
        code = await self._service.admit(text, socket.client, options.token or None, present_in=present_in)
        member = self._rooms.members.get(socket.sid)
        known_as = member.access.credential if member is not None and member.code == code else None
        async with self._rooms.listening(code), _attaching(socket, code):
            joined = await self._service.join(
                code,
                options,
                socket.client,
                connection=socket.connection,
                recovery=socket.recovery,
                known_as=known_as,
                with_session=code not in self._rooms,
            )
            former = await self._admit(socket, joined, patches=options.patches)
            self._emitter.cork(socket.sid)
            self._emitter.deliver([socket.sid], self._emitter.encode("joined-session", {"sessionID": code}))
        if former is not None:
            await self._leave_for_another(former)
        return joined

    async def resume(self, socket: SocketSession, recovery: str, offset: str | None) -> bool:
        """Restore the membership of a recovery id; return whether the client missed nothing.

        Only then does the socket keep the id, and the client considers its connection recovered. Otherwise the id stays
        valid, in case the client never receives the new one. Raises retryable errors. If the session is gone or does
        not admit the participant, the client receives the reason.
        """
        known = await self._recoveries.get(recovery)
        if known is None:
            if offset and not recovery.endswith(_mark(offset)):
                self._tell(socket, "error", error_body(SessionError("session-not-found")))
            self._telemetry.recovery("unknown")
            return False
        if not known.code:
            self._telemetry.recovery("void")
            return False
        observing = known.observes
        credential = Credential("observer" if observing else "participant", known.instance, known.participant)
        try:
            async with self._rooms.listening(known.code), _attaching(socket, known.code):
                joined = await self._service.attach(
                    known.code,
                    credential,
                    connection=socket.connection,
                    recovery=recovery,
                    recovering=True,
                    continued=ContinuedMembership(known.membership_id),
                    observing=observing,
                )
                attached = joined.attached
                recovered = attached.membership_id == known.membership_id and _continues(offset, attached.head)
                if recovered:
                    socket.recovery = recovery
                else:
                    joined = await self._service.attach(
                        known.code,
                        credential,
                        connection=socket.connection,
                        recovery=socket.recovery,
                        continued=ContinuedMembership(joined.attached.membership_id),
                        observing=observing,
                    )
                await self._admit(socket, joined, patches=known.patches, informed=_seen(offset))
            self._telemetry.recovery("recovered" if recovered else "restored")
            return recovered
        except SessionError as error:
            if error.retryable:
                raise
            self._telemetry.recovery("refused")
            await self._tell_why(socket, known, error)
            return False

    async def leave(self, socket: SocketSession, mid: str | None) -> Done:
        """Remove a socket from its session, and the participant as well unless it has another socket there."""
        member = self._rooms.members.get(socket.sid)
        if member is None:
            raise SessionError("not-joined")
        member.leaving = True
        try:
            ack = await self._service.leave(member.access, member.connection, member.recovery, mid)
        except SessionError as error:
            # The participant may have left, and must not be attached again.
            member.leaving = error.code == "outcome-unknown"
            if error.code == "not-joined":
                self._rooms.release(socket.sid)
            raise
        self._rooms.release(socket.sid)
        return ack

    def disconnected(self, socket: SocketSession, *, for_good: bool) -> None:
        """Handle the end of a socket. Its participant may reconnect within the grace time.

        ``for_good``: the client closed the socket itself, so its recovery id becomes void.
        """
        recovery = socket.recovery if for_good else None
        member = self._rooms.release(socket.sid)
        if member is not None:
            self._presence.disconnected(member.code, socket.connection, recovery=recovery)
        for code in socket.attached:
            self._presence.disconnected(code, socket.connection, recovery=recovery, attaching=True)

    async def _admit(
        self, socket: SocketSession, joined: Joined, *, patches: bool, informed: Head | None = None
    ) -> Member | None:
        """Add a member; ``informed``: what the client has seen of the session, by default the state as joined."""
        attached = joined.attached
        await self._recoveries.put(
            socket.recovery,
            joined.access.code,
            joined.access.credential,
            attached.membership_id,
            patches=patches,
            free_at=attached.free_at,
        )
        member = Member(
            socket.sid,
            joined.access,
            attached.membership_id,
            attached.head,
            socket.connection,
            socket.recovery,
            attached.name,
            informed or attached.head,
            patches,
        )
        return self._rooms.admit(member, attached)

    async def _leave_for_another(self, former: Member) -> None:
        try:
            await self._service.leave(former.access, former.connection, former.recovery)
        except SessionError:
            self._presence.disconnected(former.code, former.connection)

    async def _tell_why(self, socket: SocketSession, known: Recovery, error: SessionError) -> None:
        """Send a client the reason why its membership was not restored, unless it had left by itself."""
        reason = await self._reason(known, error)
        if reason is not None:
            error = SessionError("session-not-found")
            self._tell(socket, "session-ended", {"sessionID": known.code, "reason": reason})
        if error.code != "not-joined":
            self._tell(socket, "error", error_body(error))

    async def _reason(self, known: Recovery, error: SessionError) -> str | None:
        if error.code in ("session-not-found", "unauthorized"):
            return await self._store.end_reason(known.code, known.instance)
        if error.code not in ("not-joined", "forbidden"):
            return None
        reason = await self._store.end_reason(known.code, known.instance, known.participant)
        return "kicked" if reason == "kicked" else None

    def _tell(self, socket: SocketSession, event: str, body: Mapping[str, object]) -> None:
        self._emitter.deliver([socket.sid], self._emitter.encode(event, body))


@asynccontextmanager
async def _attaching(socket: SocketSession, code: str) -> AsyncIterator[None]:
    """Note the session in ``socket.attached`` if it is unknown whether the connection was attached."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, SessionError) or error.retryable:
            socket.attached.add(code)
        raise
    socket.attached.discard(code)


def new_recovery_id(offset: str | None) -> str:
    """Return an id that cannot be guessed: it authenticates the participant.

    It contains a hash of the client's current offset. A client that reconnects with another offset has received updates
    since.
    """
    return f"{secrets.token_urlsafe(18)}.{_mark(offset or '')}"


def _mark(offset: str) -> str:
    return hashlib.sha256(offset.encode()).hexdigest()[:8]


def _continues(offset: str | None, head: Head) -> bool:
    seen = _seen(offset)
    return seen is not None and seen.epoch == head.epoch and seen.version <= head.version


def _seen(offset: str | None) -> Head | None:
    try:
        return Head.parse(offset or "")
    except ValueError:
        return None
