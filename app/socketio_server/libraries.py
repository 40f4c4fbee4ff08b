"""Everything that uses private parts of python-socketio, python-engineio and uvicorn.

tests/protocol/test_libraries.py fails if an upgrade of a library changes one of them. The other modules of this package
use public names only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import engineio
import orjson
import socketio
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import State

if TYPE_CHECKING:
    from app.socketio_server.connection import Connection

__all__ = [
    "ConnectionRefused",
    "EngineIOServer",
    "SocketIOManager",
    "SocketIOPacket",
    "SocketIOServer",
    "UvicornWebSocketProtocol",
    "abort",
    "flushed",
]


# The bytes that are parsed at a time: some hundred frames of the smallest kind.
_SLICE: Final = 4096
# Each fragment takes memory besides its bytes, of which it may have none. Proxies that split messages use kilobytes.
_MAX_FRAGMENTS: Final = 1024

ConnectionRefused = socketio.exceptions.ConnectionRefusedError


class SocketIOPacket(socketio.packet.Packet):  # type: ignore[misc]
    """python-socketio's packet, whose ``encode`` is used."""


class SocketIOManager(socketio.AsyncManager):  # type: ignore[misc]
    """python-socketio's manager of the clients and rooms of one process."""


class SocketIOServer(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio's server with names of our own for its internal hooks; ``SocketServer`` implements them."""

    def make_engine(self, **options: Any) -> Any:
        """Return the Engine.IO server."""
        raise NotImplementedError

    def find_handler(self, event: str, namespace: str, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return the application's handler of an event and its arguments, or ``(None, ...)``."""
        handler, handler_args = self._get_event_handler(event, namespace, args)
        if handler is not None:
            return handler, handler_args
        handler, handler_args = self._get_namespace_handler(namespace, args)
        if handler is None or not hasattr(handler, "on_" + (event or "")):
            return None, args
        return getattr(handler, "on_" + event), handler_args

    def knows_namespace(self, namespace: str) -> bool:
        """Return whether clients may connect to ``namespace``."""
        return (
            self.namespaces == "*"
            or namespace in self.namespaces
            or namespace in self.handlers
            or namespace in self.namespace_handlers
        )

    def _engineio_server_class(self) -> Callable[..., Any]:
        return self.make_engine


class EngineIOServer(engineio.AsyncServer):  # type: ignore[misc]
    """python-engineio's server, used for its options, handlers and per-session store."""

    sockets: dict[str, Connection]
    handlers: dict[str, Callable[..., Any]]

    def __init__(self) -> None:
        # Its monitoring task would run in the first client's context; here every session has a timer of its own. With a
        # logger object the library adds no handler.
        super().__init__(async_mode="asgi", monitor_clients=False, logger=logging.getLogger("engineio.server"))


def abort(send: Any) -> None:
    """Abort the TCP connection of an ASGI ``send`` at once and discard its buffer.

    ASGI has no such operation. With a server other than uvicorn nothing happens, and the operating system's time-outs
    apply.
    """
    owner = getattr(send, "__self__", None)
    if isinstance(owner, WebSocketsSansIOProtocol | RequestResponseCycle):
        owner.transport.abort()


async def flushed(send: Any) -> None:
    """Wait until the rest of an HTTP response fits into the transport's buffer.

    uvicorn's ``send`` of the last part returns as soon as the part is buffered.
    """
    owner = getattr(send, "__self__", None)
    if isinstance(owner, RequestResponseCycle) and owner.flow.write_paused:
        await owner.flow.drain()


class UvicornWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with bounds on what one peer can cause; for uvicorn's option ``ws``.

    Data is parsed in slices, each after the application has taken the messages of the slice before. uvicorn parses all
    at once, which takes a second and tens of megabytes for a quarter of a megabyte of tiny frames. A message has a
    bounded number of fragments. While a peer does not read, only its last ping is answered (RFC 6455, section 5.5.3),
    and none after our close frame. A text that is not UTF-8 fails the connection (section 8.1) without a traceback. A
    peer that does not answer a close frame is aborted after one second instead of ten. ``on_lost`` is called at the end
    of the connection.
    """

    on_lost: Callable[[], None] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.close_timeout = 1.0
        self.conn.reject = _rejection  # type: ignore[method-assign]
        self._unparsed = bytearray()
        # The answer to the last pings, while the transport does not accept data.
        self._pong = b""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        self._parse()

    async def receive(self) -> Any:
        paused = self.read_paused
        while self._unparsed and self.queue.empty():
            self.read_paused = False
            self._parse()
        if paused and not self.read_paused:
            self.transport.resume_reading()
        message = await self.queue.get()
        if self.read_paused and self.queue.empty() and not self._unparsed:
            self.read_paused = False
            self.transport.resume_reading()
        return message

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            # The headers are not used any more, but the parser keeps its request as long as the connection lasts.
            self.request.headers.clear()
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # A response other than the WebSocket completes the handshake as well; uvicorn would log an error.
            self.handshake_complete = True

    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._pong = self._pong, b""
        if pong and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    def on_task_complete(self, task: Any) -> None:
        super().on_task_complete(task)
        # The transport closes once its data is sent, which a peer that does not read would delay for ever.
        self.loop.call_later(self.close_timeout, self.transport.abort)

    def handle_ping(self) -> None:
        # At the first ping of a slice this is the answer to all its pings, and to a close frame after them.
        output = b"".join(self.conn.data_to_send())
        if self.close_sent or not output:
            return
        if self.writable.is_set() or self.conn.state is not State.OPEN:
            self.transport.write(output)
        else:
            self._pong = output

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) >= _MAX_FRAGMENTS:
            self._fail(1009)
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self._fail(1007)
            return
        super().send_receive_event_to_app()

    def _fail(self, code: int) -> None:
        self.frames = []
        self.conn.fail(code)
        self.handle_parser_exception()

    def _parse(self) -> None:
        while self._unparsed and not self.read_paused:
            piece = bytes(self._unparsed[:_SLICE])
            del self._unparsed[:_SLICE]
            super().data_received(piece)
            if self.transport.is_closing():
                self._unparsed.clear()


def _rejection(status: HTTPStatus | int, text: str) -> Response:
    """Return a response that refuses a handshake; ``text`` is the library's message."""
    status = HTTPStatus(status)
    code = {403: "forbidden", 500: "internal-error"}.get(status, "invalid-payload")
    body = orjson.dumps({"message": status.phrase, "code": code})
    headers = {"Connection": "close", "Content-Length": str(len(body)), "Content-Type": "application/json"}
    return Response(status, status.phrase, Headers(headers | {"X-Error-Code": code}), body)


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
