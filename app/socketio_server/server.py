"""The Socket.IO server: python-socketio's server on our Engine.IO server.

https://github.com/socketio/socket.io-protocol, revision 5.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from app.background import Background
from app.observability.logging import log_bug
from app.socketio_server import endings, packets
from app.socketio_server.admission import ConnectionLimits, Origins
from app.socketio_server.connection import Connection
from app.socketio_server.engineio import EngineServer
from app.socketio_server.events import WrongArguments
from app.socketio_server.frames import Encoded, Outgoing
from app.socketio_server.hooks import RequestHooks, new_id
from app.socketio_server.interfaces import Receive, Scope, Send
from app.socketio_server.libraries import SocketIOManager
from app.socketio_server.manager import RoomManager
from app.socketio_server.observer import Observer
from app.socketio_server.options import Options
from app.socketio_server.packets import BinaryPacket, Packet
from app.socketio_server.receiving import HandlerError, ReceivingServer
from app.socketio_server.refusals import Headers
from app.socketio_server.sockets import Leave
from app.socketio_server.timers import TimerQueue
from app.socketio_server.websocket import WebSocketProtocol

__all__ = ["SERVICE_RESTART", "SocketServer"]

# The IANA registry of WebSocket close codes.
SERVICE_RESTART: Final = 1012


class SocketServer(ReceivingServer):
    """A Socket.IO server; see the package's docstring for an example.

    path: the path of the ASGI application
    namespaces: namespaces that clients may connect to, in addition to those with handlers
    on_handler_error: is called with the sid, the event and the exception of its handler; returns the acknowledgement
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        path: str = "/socket.io/",
        namespaces: Sequence[str] = ("/",),
        origins: Origins | None = None,
        limits: ConnectionLimits | None = None,
        hooks: RequestHooks | None = None,
        client_manager: SocketIOManager | None = None,
        on_handler_error: HandlerError | None = None,
        observer: Observer | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        options = options or Options()
        self.path = path
        self.observer = observer or Observer()
        self._log = logger or logging.getLogger(__name__)
        self._unconnected = TimerQueue(options.connect_timeout, self.connect_timed_out)
        self._on_handler_error = on_handler_error or self._log_handler_error
        self._limits = {}
        self._sockets = {}
        self._background = Background("acknowledgements", self._log)
        self._connections = limits or ConnectionLimits()
        self._engine = EngineServer(
            options,
            origins=origins or Origins(),
            limits=self._connections,
            hooks=hooks or RequestHooks(),
            decode=self.decode,
            observer=self.observer,
            logger=self._log,
        )
        super().__init__(
            client_manager=client_manager or RoomManager(),
            serializer=BinaryPacket if options.binary else Packet,
            namespaces=list(namespaces),
            # With a logger object the library adds no handler.
            logger=logging.getLogger("socketio.server"),
        )
        # The engine calls `decode` when a message arrives, and `handle_packet` when it is its turn. These replace
        # handlers that the library has registered.
        self._engine.on("connect", self.transport_opened)
        self._engine.on("message", self.handle_packet)
        self._engine.on("disconnect", self.transport_closed)

    def make_engine(self, **_options: Any) -> EngineServer:
        return self._engine

    # Life

    async def start(self) -> None:
        """Start the client manager, in a new context rather than in that of the first client."""
        self.manager_initialized = True
        contextvars.Context().run(self.manager.initialize)

    async def close(self, timeout: float = 5) -> None:
        """Refuse new connections, end all others and wait until their disconnects have been handled."""
        self.stop_accepting()
        workers = set()
        for session in self.connections():
            session.close(endings.SERVER_DISCONNECT, code=SERVICE_RESTART)
            if session.worker is not None:
                workers.add(session.worker)
        await self._background.close()
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=timeout)
        for worker in late:
            worker.cancel()

    def stop_accepting(self, status: int = 503, headers: Headers = ()) -> None:
        """Refuse new handshakes with ``status`` and ``headers``; existing sessions continue, upgrades included."""
        self._connections.stop(status, headers)

    @property
    def open_count(self) -> int:
        """The number of open connections."""
        return self._connections.open

    def connections(self) -> list[Connection]:
        """Return the open connections, including those in no namespace."""
        return list(self._engine.sockets.values())

    def close_socket(self, sid: str, code: int = SERVICE_RESTART) -> None:
        """Close a socket's transport. Stock clients reconnect at once, unlike after ``disconnect``."""
        socket = self._sockets.get(sid)
        if socket is not None:
            socket.connection.close(endings.SERVER_DISCONNECT, code=code)

    def take_over(self, scope: Scope) -> WebSocketProtocol | bytes | None:
        """Return the protocol for the connection of a WebSocket's handshake for ``path``, or None for ``asgi``.

        Bytes are the answer to a handshake that is refused. A WebSocket costs less without ASGI: it has no task and no
        queue, and is written to directly.
        """
        return self._engine.take_over(scope) if scope["path"].rstrip("/") == self.path.rstrip("/") else None

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application, which serves only ``path``."""
        if scope["type"] in ("http", "websocket") and scope["path"].rstrip("/") == self.path.rstrip("/"):
            await self._engine.handle_request(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})

    # Sending

    def encode(self, event: str, *args: Any, namespace: str = "/", compress: bool = False) -> Encoded:
        """Encode an event once for any number of ``deliver`` calls. Raises TypeError for data that is not JSON.

        ``compress`` it where it is large and the client accepts that, once for all; never an event with secrets.
        """
        return self._packet(packets.EVENT, namespace, [event, *args], compress=compress)

    def deliver(self, sids: Iterable[str], outgoing: Outgoing, *, latest: Hashable | None = None) -> None:
        """Send an encoded event to sockets of this server, without waiting.

        It is written at once to sockets that accept it and queued for others. One that is not made yet is made when it
        can be written. Of queued messages with the same ``latest`` key only the newest is kept. Unknown sids are
        ignored.
        """
        sockets = self._sockets
        for sid in sids:
            socket = sockets.get(sid)
            if socket is not None:
                socket.send(outgoing, latest)

    def cork(self, sid: str) -> None:
        """Write what is sent to a socket from now on together, once the event loop has handled what it receives next.

        Unknown sids are ignored.
        """
        if (socket := self._sockets.get(sid)) is not None:
            socket.connection.cork()

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client; stock clients do not reconnect by themselves.

        Its disconnect handler runs after the events received before, so perhaps after this call has returned.
        """
        namespace = namespace or "/"
        known = (
            self.manager.is_connected(sid, namespace)
            if ignore_queue
            else await self.manager.can_disconnect(sid, namespace)
        )
        socket = self._sockets.get(sid)
        if not known or socket is None:
            return
        self.manager.pre_disconnect(sid, namespace)
        socket.send(self._packet(packets.DISCONNECT, namespace))
        socket.connection.enqueue(Leave(socket))

    # Data of a socket

    def new_sid(self) -> str:
        """Return an id for a new socket. It is public, unlike the Engine.IO session's."""
        return new_id()

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[Any, Any]:
        """Return the dict kept for a socket until its disconnect handler has run. Raises KeyError after that."""
        session: dict[Any, Any] = self._sockets[sid].connection.session.setdefault(namespace or "/", {})
        return session

    async def save_session(self, sid: str, session: dict[Any, Any], namespace: str | None = None) -> None:
        """Replace the dict of a socket."""
        self._sockets[sid].connection.session[namespace or "/"] = session

    def _log_handler_error(self, sid: str, event: str, error: Exception) -> None:
        if isinstance(error, WrongArguments):
            self._log.info("wrong number of arguments")
        else:
            log_bug(self._log, "a handler failed", error)
