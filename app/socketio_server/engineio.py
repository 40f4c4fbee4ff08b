"""The Engine.IO server: an ASGI application that keeps sessions over long-polling and WebSocket.

https://github.com/socketio/engine.io-protocol, revision 4.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import orjson

from app.observability.logging import Throttle
from app.socketio_server import asgi, connection, frames, refusals
from app.socketio_server.admission import ConnectionLimits, Origins
from app.socketio_server.connection import Closed, Connection
from app.socketio_server.frames import Encoded, ProtocolError
from app.socketio_server.hooks import RequestHooks
from app.socketio_server.libraries import EngineIOServer, abort, flushed, uvicorn_writer
from app.socketio_server.observer import Observer
from app.socketio_server.options import Options
from app.socketio_server.refusals import Refusal
from app.socketio_server.writing import AsgiWriter, Receive, Scope, Send, Writer

__all__ = ["Decode", "EngineServer"]

Decode = Callable[[Connection, str | bytes], Any]


class EngineServer(EngineIOServer):
    """A strict Engine.IO server with the events of python-engineio's; its handlers get the session instead of the sid.

    Messages of one session are handled one after another in the order sent, then its disconnect. Handlers of
    ``connect`` get the session and the ASGI scope and cannot refuse; those of ``message`` the session and the message;
    those of ``disconnect`` the session and a reason.

    ``decode`` turns a message into what the handler gets, while it is being read; None means that there is nothing to
    handle.
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
        """End one session, or all; stock clients connect again at once."""
        for session in [self.sockets.get(sid)] if sid is not None else list(self.sockets.values()):
            if session is not None:
                session.close(connection.SERVER_DISCONNECT)

    async def shutdown(self) -> None:
        """End all sessions."""
        await self.disconnect()

    # What sessions call

    async def handle(self, session: Connection, item: Any) -> None:
        """Run the handler of one message, or of the session's end."""
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
        """Forget a session that has been closed."""
        if self.sockets.pop(session.sid, None) is not None:
            self.limits.leave(session.address)
            self.observer.closed(session.transport, reason)

    def slow(self, session: Connection) -> None:
        """Note that a session is closed because its peer does not read."""
        self.observer.slow()
        self._violations.warning("a slow client was dropped", peer=session.address)

    def coalesced(self) -> None:
        """Note that a pending message gave way to a newer one."""
        self.observer.coalesced()

    def violated(self, session: Connection, error: ProtocolError) -> None:
        """Close a session whose peer broke the protocol."""
        self.observer.violated(error.reason)
        self._violations.warning(
            "a client broke the protocol", key=error.reason, reason=error.reason, peer=session.address
        )
        too_big = error.reason == "too large"
        session.close(connection.TRANSPORT_ERROR, code=connection.TOO_BIG if too_big else connection.POLICY_VIOLATION)

    # ASGI

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket. The body of a request is read only where the session is ours."""
        headers: list[tuple[bytes, bytes]] = []
        try:
            headers = self._origins.check(scope)
            await self._dispatch(scope, receive, send, headers)
        except Refusal as refusal:
            self.observer.refused(refusal.reason)
            if not asgi.names_session(scope):
                transport = "websocket" if scope["type"] == "websocket" else "polling"
                self.observer.handshake_refused(transport, refusal.reason)
            await asgi.refuse(scope, receive, send, refusal, headers)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        """Serve what opens a session, belongs to one, or belongs to another server's. Raises ``Refusal``."""
        query = asgi.read_query(scope)
        is_websocket = scope["type"] == "websocket"
        if not is_websocket and scope["method"] == "OPTIONS":
            await asgi.respond(send, 204, b"", [*headers, *asgi.preflight(scope)])
            return
        transport, sid = query.get("transport"), query.get("sid")
        if transport != "websocket" and (is_websocket or transport != "polling"):
            raise refusals.unknown_transport()
        if sid is None:
            asgi.check_version(query)
            if is_websocket:
                await self._open_websocket(scope, receive, send)
            else:
                await self._open_polling(scope, send, transport, headers)
            return
        session = self.sockets.get(sid)
        if session is None:
            await self._serve_foreign(sid, scope, receive, send)
        elif is_websocket:
            await self._upgrade(session, scope, receive, send)
        else:
            await self._request(session, scope["method"], transport, receive, send, headers)

    async def _serve_foreign(self, sid: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Have another server answer. Raises ``Refusal`` if none knows the session."""
        foreign_session = self._hooks.foreign_session
        if foreign_session is not None and await foreign_session(sid, scope, receive, send):
            return
        raise refusals.unknown_session()

    # Opening a session

    def _open(self, scope: Scope, *, websocket: bool) -> Connection:
        address, remembered = self._hooks.address(scope), self._hooks.remember(scope)
        self.limits.enter(address)
        session = Connection(self, self.generate_id(), address, remembered)
        session.upgraded = websocket
        self.sockets[session.sid] = session
        self.observer.opened(session.transport)
        return session

    async def _opened(self, session: Connection, scope: Scope) -> None:
        """Tell the application of a session; only then does it hear of its end."""
        handler = self.handlers.get("connect")
        session.known = True
        try:
            if handler is not None:
                await handler(session, scope)
        except BaseException:
            session.known = False
            raise

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
        with session.serving():
            await self._opened(session, scope)
        await asgi.respond(send, 200, self._open_packet(session).polling, headers)

    async def _open_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = self._open(scope, websocket=True)
        with session.serving():
            await asgi.accept(receive, send)
            asgi.forget_headers(scope)
            session.attach(self._writer(send))
            session.send(self._open_packet(session))
            await self._opened(session, scope)
            await self._read(session, receive)
        await self._finish(session, send)

    # Long-polling

    async def _request(
        self,
        session: Connection,
        method: str,
        transport: str,
        receive: Receive,
        send: Send,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        if method == "GET":
            await session.settled()
        if session.overdue:
            session.close(connection.PING_TIMEOUT)
        if session.closed or session.upgraded or transport != "polling":
            raise refusals.bad_request()
        if method == "GET":
            await self._poll(session, receive, send, headers)
        elif method == "POST":
            await self._post(session, receive, send, headers)
        else:
            raise refusals.bad_request()

    async def _poll(
        self, session: Connection, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if session.polling:
            session.close(connection.TRANSPORT_ERROR)
            raise refusals.bad_request()
        messages = await session.poll(receive)
        if messages is None:
            return
        try:
            async with asyncio.timeout(self.options.write_timeout):
                await asgi.respond(send, 200, frames.payload(messages), headers)
                await flushed(send)
        except TimeoutError:
            self.slow(session)
            session.close(connection.TRANSPORT_ERROR, drop=True)
            abort(send)

    async def _post(
        self, session: Connection, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if session.posting:
            session.close(connection.TRANSPORT_ERROR)
            raise refusals.bad_request()
        session.posting = True
        accepted = False
        try:
            with session.serving():
                accepted = await self._take_payload(session, receive)
        finally:
            session.posting = False
        if not accepted:
            raise refusals.bad_request()
        await asgi.respond(send, 200, b"ok", [*headers, (b"content-type", b"text/html")])

    async def _take_payload(self, session: Connection, receive: Receive) -> bool:
        """Read a payload and hand its packets over; return whether all of them were taken."""
        try:
            body = await asgi.read_body(receive, self.options.max_payload)
            if body is None:
                session.close(connection.TRANSPORT_ERROR)
                return False
            for packet in frames.packets(body):
                await session.receive(asgi.polling_packet(packet))
                if session.closed:
                    # The client's own goodbye is as good as any packet; nothing counts behind it.
                    return session.final_packet is frames.NOOP
        except ProtocolError as error:
            self.violated(session, error)
            if error.reason == "too large":
                raise refusals.too_large() from None
            return False
        return True

    # WebSocket

    async def _upgrade(self, session: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        await asgi.accept(receive, send)
        asgi.forget_headers(scope)
        if session.upgraded or session.upgrading:
            await asgi.end_websocket(send, connection.NORMAL)
            return
        with session.serving():
            with session.upgrade():
                upgraded = await self._probe(session, receive, send)
            if not upgraded:
                await asgi.end_websocket(send, connection.NORMAL)
                return
            await self._read(session, receive)
        await self._finish(session, send)

    async def _probe(self, session: Connection, receive: Receive, send: Send) -> bool:
        """Lead a client from polling to this WebSocket; return whether it came."""
        try:
            async with asyncio.timeout(self.options.upgrade_timeout):
                if asgi.received(await receive()) != "2probe":
                    return False
                for message in frames.PROBE_ANSWER.messages:
                    await send(message)
                session.probed()
                if asgi.received(await receive()) != "5":
                    return False
        except Exception:
            # Out of time, or whatever an ASGI server raises for a peer that is gone: it stays with polling.
            return False
        session.attach(self._writer(send))
        self.observer.upgraded()
        return True

    def _writer(self, send: Send) -> Writer:
        return (uvicorn_writer(send) if self.options.direct_write else None) or AsgiWriter(send)

    async def _read(self, session: Connection, receive: Receive) -> None:
        while not session.closed:
            data = asgi.received(await receive())
            if data is None:
                session.close(connection.TRANSPORT_CLOSE)
                return
            try:
                await session.receive(data)
            except ProtocolError as error:
                self.violated(session, error)

    async def _finish(self, session: Connection, send: Send) -> None:
        if session.dropped or not await session.drained(asgi.FINAL_RESPONSE_TIMEOUT):
            abort(send)
        else:
            await asgi.end_websocket(send, session.code)
