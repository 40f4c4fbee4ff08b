"""The Engine.IO server: an ASGI application that keeps sessions over long-polling and WebSocket.

https://github.com/socketio/engine.io-protocol, revision 4.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import orjson

from app.compression import MIN_SIZE, accepts_gzip
from app.observability.logging import Throttle
from app.socketio_server import asgi, endings, frames, refusals
from app.socketio_server.admission import ConnectionLimits, Origins, header
from app.socketio_server.asgi_websocket import AsgiWebSocket
from app.socketio_server.connection import Connection
from app.socketio_server.extensions import accept_deflate
from app.socketio_server.frames import Encoded, ProtocolError, gzip_payload, may_compress, payload
from app.socketio_server.heartbeat import Heartbeats
from app.socketio_server.hooks import RequestHooks
from app.socketio_server.interfaces import Receive, Receiver, Scope, Send
from app.socketio_server.libraries import EngineIOServer, abort, flushed
from app.socketio_server.observer import Observer
from app.socketio_server.options import Options
from app.socketio_server.probe import Probe
from app.socketio_server.queues import Closed
from app.socketio_server.refusals import Overloaded, Refusal
from app.socketio_server.websocket import WebSocketProtocol

__all__ = ["Decode", "EngineServer"]

Decode = Callable[[Connection, str | bytes], Any]


class EngineServer(EngineIOServer):
    """A strict Engine.IO server with the events of python-engineio; its handlers get the session instead of the sid.

    The messages of a session are handled one after another in the order sent, then its disconnect. Handlers of
    ``connect`` are plain functions, get the session and cannot refuse it. Those of ``message`` get the session and the
    message, those of ``disconnect`` the session and a reason.

    ``decode`` converts a message for the handler as soon as it is read; None means that nothing has to be handled.
    """

    def __init__(
        self,
        options: Options,
        *,
        origins: Origins,
        limits: ConnectionLimits,
        hooks: RequestHooks,
        decode: Decode = lambda _session, data: data,
        observer: Observer | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.heartbeats: Heartbeats[Connection] = Heartbeats(options.ping_interval, options.ping_timeout)
        self.decode = decode
        self.limits = limits
        self.observer = observer or Observer()
        self._log = logger or logging.getLogger(__name__)
        self._violations = Throttle(self._log)
        self._origins = origins
        self._hooks = hooks

    # What python-socketio and applications call

    def generate_id(self) -> str:
        """Return an id for a new session."""
        return self._hooks.new_id()

    async def disconnect(self, sid: str | None = None) -> None:
        """End one session, or all; stock clients reconnect at once."""
        for session in [self.sockets.get(sid)] if sid is not None else list(self.sockets.values()):
            if session is not None:
                session.close(endings.SERVER_DISCONNECT)

    async def shutdown(self) -> None:
        """End all sessions."""
        await self.disconnect()

    # What sessions call

    async def handle(self, session: Connection, item: Any) -> None:
        """Run the handler of a message, or of the end of the session."""
        event, argument = ("disconnect", item.reason) if isinstance(item, Closed) else ("message", item)
        handler = self.handlers.get(event)
        if handler is None or not session.known:
            return
        try:
            await handler(session, argument)
        except ProtocolError as error:
            self.violated(session, error)
        except Exception:
            self._log.exception("handler of %s failed", event)

    def ended(self, session: Connection, reason: str) -> None:
        """Remove a session that was closed."""
        if self.sockets.pop(session.sid, None) is not None:
            self.limits.leave(session.address)
            self.observer.closed(session.transport, reason)

    def slow(self, session: Connection) -> None:
        """Count a session that is closed because its peer does not read."""
        self.observer.slow()
        self._violations.warning("a slow client was dropped", peer=session.address)

    def coalesced(self) -> None:
        """Count a queued message that was replaced by a newer one."""
        self.observer.coalesced()

    def violated(self, session: Connection, error: ProtocolError) -> None:
        """Close a session whose peer violated the protocol."""
        self.observer.violated(error.reason)
        self._violations.warning(
            "a client broke the protocol", key=error.reason, reason=error.reason, peer=session.address
        )
        too_big = error.reason == "too large"
        session.close(endings.TRANSPORT_ERROR, code=endings.TOO_BIG if too_big else endings.POLICY_VIOLATION)

    # Requests

    def take_over(self, scope: Scope) -> WebSocketProtocol | bytes | None:
        """Return the protocol for the connection of a WebSocket handshake, or None to serve it with ASGI.

        ASGI serves refused handshakes, sessions that are unknown here, and clients that ask for a subprotocol. But the
        answer to one that is refused because there is too much to do is returned, since that may happen often.
        """
        if header(scope, b"sec-websocket-protocol") is not None:
            return None
        try:
            self._origins.check(scope)
            deflate = accept_deflate(header(scope, b"sec-websocket-extensions") or "")
            receiver = self._receiver(scope, asgi.read_query(scope))
        except Overloaded as refusal:
            self._count_refusal(refusal, scope)
            return refusal.response()
        except Refusal:
            return None
        if receiver is None:
            return None
        return WebSocketProtocol(
            receiver, self.options.max_payload, deflate=deflate if self.options.compression else None
        )

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or a WebSocket.

        The body of a request is read only if its session belongs to this server.
        """
        headers: list[tuple[bytes, bytes]] = []
        try:
            headers = self._origins.check(scope)
            if scope["type"] == "websocket":
                await self._serve_websocket(scope, receive, send)
            else:
                await self._dispatch(scope, receive, send, headers)
        except Refusal as refusal:
            self._count_refusal(refusal, scope)
            await asgi.refuse(scope, receive, send, refusal, headers)

    def _count_refusal(self, refusal: Refusal, scope: Scope) -> None:
        self.observer.refused(refusal.reason)
        if not asgi.names_session(scope):
            transport = "websocket" if scope["type"] == "websocket" else "polling"
            self.observer.handshake_refused(transport, refusal.reason)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        """Serve a request that opens a session or belongs to one, here or elsewhere. Raises ``Refusal``."""
        query = asgi.read_query(scope)
        if scope["method"] == "OPTIONS":
            await asgi.respond(send, 204, b"", [*headers, *asgi.preflight(scope)])
            return
        transport, sid = query.get("transport"), query.get("sid")
        if transport not in ("polling", "websocket"):
            raise refusals.unknown_transport()
        if sid is None:
            asgi.check_version(query)
            await self._open_polling(scope, send, transport, headers)
            return
        session = self.sockets.get(sid)
        if session is None:
            await self._serve_foreign(sid, scope, receive, send)
        else:
            await self._request(session, scope, transport, receive, send, headers)

    async def _serve_foreign(self, sid: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ``foreign_session`` answer. Raises ``Refusal`` if it does not know the session."""
        foreign_session = self._hooks.foreign_session
        if foreign_session is not None and await foreign_session(sid, scope, receive, send):
            return
        raise refusals.unknown_session()

    # Opening a session

    def _open(self, scope: Scope, *, websocket: bool) -> Connection:
        address = self._hooks.address(scope)
        self.limits.enter(address)
        session = Connection(self, self.generate_id(), address, self._hooks.remember(scope))
        session.upgraded = websocket
        self.sockets[session.sid] = session
        self.observer.opened(session.transport)
        return session

    def _opened(self, session: Connection) -> None:
        """Notify the application of a session; without that it is not notified of the end."""
        handler = self.handlers.get("connect")
        try:
            if handler is not None:
                handler(session)
        except BaseException:
            session.close(endings.TRANSPORT_ERROR)
            raise
        session.known = True

    def _open_packet(self, session: Connection) -> Encoded:
        options = self.options
        handshake = {
            "sid": session.sid,
            "upgrades": [] if session.upgraded else ["websocket"],
            "pingInterval": round(options.ping_interval * 1000),
            "pingTimeout": round(options.ping_timeout * 1000),
            "maxPayload": options.max_payload,
        }
        return Encoded("0" + orjson.dumps(handshake).decode())

    async def _open_polling(self, scope: Scope, send: Send, transport: str, headers: list[tuple[bytes, bytes]]) -> None:
        if scope["method"] != "GET":
            raise refusals.bad_method()
        if transport != "polling":
            raise refusals.bad_request()
        session = self._open(scope, websocket=False)
        self._opened(session)
        await asgi.respond(send, 200, self._open_packet(session).polling, headers)

    # Long-polling

    async def _request(
        self,
        session: Connection,
        scope: Scope,
        transport: str,
        receive: Receive,
        send: Send,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        method = scope["method"]
        if method == "GET" and session.upgrade is not None:
            await session.upgrade.settled()
        if session.overdue:
            session.close(endings.PING_TIMEOUT)
        if session.closed or session.upgraded or transport != "polling":
            raise refusals.bad_request()
        if method == "GET":
            await self._poll(session, scope, receive, send, headers)
        elif method == "POST":
            await self._post(session, receive, send, headers)
        else:
            raise refusals.bad_request()

    async def _poll(
        self, session: Connection, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if session.polling:
            session.close(endings.TRANSPORT_ERROR)
            raise refusals.bad_request()
        messages = await session.poll(receive)
        if messages is None:
            return
        body = payload(messages)
        if self.options.compression and len(body) >= MIN_SIZE and may_compress(messages):
            headers = [*headers, (b"vary", b"Accept-Encoding")]
            if accepts_gzip(header(scope, b"accept-encoding")):
                headers.append((b"content-encoding", b"gzip"))
                body = gzip_payload(messages)
        try:
            async with asyncio.timeout(self.options.write_timeout):
                await asgi.respond(send, 200, body, headers)
                await flushed(send)
        except TimeoutError:
            self.slow(session)
            session.close(endings.TRANSPORT_ERROR, drop=True)
            abort(send)

    async def _post(
        self, session: Connection, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if session.posting:
            session.close(endings.TRANSPORT_ERROR)
            raise refusals.bad_request()
        accepted = False
        with session.post():
            accepted = await self._take_payload(session, receive)
        if not accepted:
            raise refusals.bad_request()
        await asgi.respond(send, 200, b"ok", [*headers, (b"content-type", b"text/html")])

    async def _take_payload(self, session: Connection, receive: Receive) -> bool:
        """Read a payload and handle its packets; return whether all were handled."""
        try:
            body = await asgi.read_body(receive, self.options.max_payload)
            if body is None:
                session.close(endings.TRANSPORT_ERROR)
                return False
            for packet in frames.packets(body):
                session.receive(asgi.polling_packet(packet))
                if session.closed:
                    # After the client's CLOSE packet the rest of the payload is ignored.
                    return session.final_packet is frames.NOOP
                if session.ahead:
                    await session.caught_up()
        except ProtocolError as error:
            self.violated(session, error)
            if error.reason == "too large":
                raise refusals.too_large() from None
            return False
        return True

    # WebSocket

    def websocket_opened(self, session: Connection) -> None:
        """Start a session that was opened over a WebSocket."""
        session.send(self._open_packet(session))
        self._opened(session)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = asgi.read_query(scope)
        # Nothing is accepted over ASGI, but a malformed header is refused there as well.
        accept_deflate(header(scope, b"sec-websocket-extensions") or "")
        receiver = self._receiver(scope, query)
        if receiver is None:
            await self._serve_foreign(query["sid"], scope, receive, send)
            return
        asgi.forget_headers(scope)
        await AsgiWebSocket(receiver, receive, send).serve()

    def _receiver(self, scope: Scope, query: dict[str, str]) -> Receiver | None:
        """Return the receiver of the WebSocket's messages, None for an unknown session. Raises ``Refusal``."""
        if query.get("transport") != "websocket":
            raise refusals.unknown_transport()
        sid = query.get("sid")
        if sid is None:
            asgi.check_version(query)
            return self._open(scope, websocket=True)
        session = self.sockets.get(sid)
        return None if session is None else Probe(session, self.options.upgrade_timeout, self.observer.upgraded)
