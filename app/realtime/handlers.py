"""The handlers of client events: each event is parsed, executed and acknowledged."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

from app.deadline import Deadline
from app.observability.logging import begin_request, log_bug
from app.realtime.membership import Membership, new_recovery_id
from app.realtime.rooms import Rooms
from app.realtime.socket_session import SocketSession, TriedChange
from app.realtime.telemetry import Telemetry
from app.sessions.access import Access
from app.sessions.admission import Client, SocketMisses
from app.sessions.answers import Ack, Joined, Refused, error_body, result_of
from app.sessions.errors import SessionError
from app.sessions.operations import EVENTS, Change
from app.sessions.payloads import JoinOptions, parse
from app.sessions.service import SessionService
from app.socketio_server import CLIENT_NAMESPACE_DISCONNECT, SocketServer, current_event

__all__ = ["CLIENT", "SocketHandlers"]

CLIENT: Final = "join_session.client"

_TELLS_WHY_JOINING_FAILED: Final = "join-session"

_logger = logging.getLogger(__name__)


class SocketHandlers:
    """Registers the service's use cases as handlers of a Socket.IO server.

    The environment of a connection has its ``Client`` under ``CLIENT``. ``replica``: the id of this replica.
    ``redis_timeout``: seconds that one event may wait for Redis in total. ``join_deadline``: a socket that is in no
    session so many seconds after it connected is closed (None: never).
    """

    def __init__(
        self,
        server: SocketServer,
        service: SessionService,
        rooms: Rooms,
        membership: Membership,
        telemetry: Telemetry,
        *,
        replica: str,
        redis_timeout: float,
        join_deadline: float | None,
    ) -> None:
        self._server = server
        self._service = service
        self._rooms = rooms
        self._membership = membership
        self._replica = replica
        self._redis_timeout = redis_timeout
        self._join_deadline = join_deadline
        self._telemetry = telemetry
        self._sockets: dict[str, SocketSession] = {}

    def register(self) -> None:
        """Register the handlers."""
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._event)

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: object) -> dict[str, str]:
        begin_request()
        client: Client = environ[CLIENT]
        client.socket_misses = SocketMisses()
        with self._telemetry.connecting(auth):
            try:
                return await self._let_in(sid, client, auth)
            except BaseException:
                # A refused socket has no disconnect event.
                self._forget(sid)
                raise

    async def _let_in(self, sid: str, client: Client, auth: object) -> dict[str, str]:
        recovery, offset = _recovery(auth)
        socket = SocketSession(sid, client, f"{self._replica}.{sid}", new_recovery_id(offset))
        self._sockets[sid] = socket
        if self._join_deadline is not None:
            loop = asyncio.get_running_loop()
            socket.join_deadline = loop.call_later(self._join_deadline, self._close_idle, sid)
        if recovery is not None:
            try:
                with Deadline(self._redis_timeout):
                    await self._membership.resume(socket, recovery, offset)
            except SessionError:
                self._telemetry.recovery("failed")
                # A closed client reconnects by itself. A connected one without its membership would wait forever.
                self._server.close_socket(sid)
        return {"pid": socket.recovery}

    async def _disconnect(self, sid: str, reason: str) -> None:
        begin_request()
        with self._telemetry.disconnecting():
            self._forget(sid, for_good=reason == CLIENT_NAMESPACE_DISCONNECT)

    def _forget(self, sid: str, *, for_good: bool = False) -> None:
        socket = self._sockets.pop(sid, None)
        if socket is None:
            return
        if socket.join_deadline is not None:
            socket.join_deadline.cancel()
        self._membership.disconnected(socket, for_good=for_good)

    async def _event(self, event: str, sid: str, *args: object) -> Ack:
        begin_request()
        started = perf_counter()
        with self._telemetry.receiving(event, args) as span:
            with Deadline(self._redis_timeout):
                ack = await self._answer(event, sid, args)
            self._telemetry.acknowledged(span, event, result_of(ack), perf_counter() - started)
        return ack

    async def _answer(self, event: str, sid: str, args: tuple[object, ...]) -> Ack:
        try:
            return await self._perform(event, self._sockets[sid], args)
        except SessionError as error:
            return self._refuse(event, sid, error)
        except Exception as error:
            log_bug(_logger, "unexpected error in an event", error)
            return self._refuse(event, sid, SessionError("internal-error"))

    def _refuse(self, event: str, sid: str, error: SessionError) -> Refused:
        joining = event == _TELLS_WHY_JOINING_FAILED
        refused = SessionError("join-failed") if joining and error.status >= 500 else error
        if joining or not current_event.get().ack_requested:
            self._server.deliver([sid], self._server.encode("error", error_body(refused)))
        return _refusal(refused)

    async def _perform(self, event: str, socket: SocketSession, args: tuple[object, ...]) -> Ack:
        operation = EVENTS.get(event)
        if operation is None:
            raise SessionError("unknown-event")
        if not isinstance(operation, Change):
            return await self._join(socket, args)
        member = self._rooms.members.get(socket.sid)
        if member is None or member.observes:
            return await self._change(operation, socket, args)
        async with self._service.checked(member.access, operation.action):
            return await self._change(operation, socket, args)

    async def _change(self, operation: Change[Any], socket: SocketSession, args: tuple[object, ...]) -> Ack:
        payload = parse(operation.payload, _payload(args))
        if operation.use_case is None:
            return await self._leave(socket, payload.mid)
        return await operation.use_case(self._service, self._access(socket, payload.mid), payload)

    async def _leave(self, socket: SocketSession, mid: str | None) -> Ack:
        access = self._held(socket, mid)
        if self._rooms.members.get(socket.sid) is None:
            return await self._service.leave(access, socket.connection, socket.recovery, mid)
        return await self._membership.leave(socket, mid)

    def _access(self, socket: SocketSession, mid: str | None) -> Access:
        """Return the access of the socket's participant, like ``_held``."""
        access = self._held(socket, mid)
        if access.credential.kind == "observer":
            raise SessionError("not-joined")
        return access

    def _held(self, socket: SocketSession, mid: str | None) -> Access:
        """Return the socket's access to its session.

        A socket that has left keeps the access of its last change, so that it can repeat that change.
        """
        member = self._rooms.members.get(socket.sid)
        if member is not None:
            if mid is not None:
                socket.tried = TriedChange(mid, member.access)
            return member.access
        if socket.tried is None or socket.tried.key != mid:
            raise SessionError("not-joined")
        return socket.tried.access

    async def _join(self, socket: SocketSession, args: tuple[object, ...]) -> Joined:
        first = args[0] if args else None
        options = first if isinstance(first, dict) else args[1] if len(args) > 1 else None
        text = _session_id(first.get("sessionID") if isinstance(first, dict) else first)
        joined = await self._membership.join(socket, text, parse(JoinOptions, options if options is not None else {}))
        return {
            "ok": True,
            "version": joined.attached.head.version,
            "now": self._service.now(),
            "sessionID": joined.access.code,
            "participantID": joined.attached.participant if joined.token else "",
            "token": joined.token,
            "votes": joined.attached.votes,
        }

    def _close_idle(self, sid: str) -> None:
        if self._rooms.members.get(sid) is None:
            self._server.close_socket(sid)


def _recovery(auth: object) -> tuple[str | None, str | None]:
    """Return the recovery id and the offset with which a client reconnects."""
    given = auth if isinstance(auth, dict) else {}
    return _short_text(given.get("pid")), _short_text(given.get("offset"))


def _short_text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 64 and value.isascii() else None


def _payload(args: tuple[object, ...]) -> object:
    return args[0] if args and args[0] is not None else {}


def _session_id(value: object) -> str:
    """Read a session id as HTTP does: a non-blank string, or a non-zero integer as its decimal string."""
    if isinstance(value, int) and not isinstance(value, bool) and value:
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise SessionError("session-id-required")
    return value


def _refusal(error: SessionError) -> Refused:
    ack: Refused = {"ok": False, "code": error.code, "message": error.message}
    if error.field is not None:
        ack["field"] = error.field
    if error.retryable:
        ack["retryable"] = True
    if error.retry_after is not None:
        ack["retryAfter"] = max(1, math.ceil(error.retry_after))
    if error.decision is not None:
        ack["decision"] = error.decision
    return ack
