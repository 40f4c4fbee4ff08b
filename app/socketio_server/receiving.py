"""The receiving half of the Socket.IO server: from packets to handlers, and back to acknowledgements.

The path of an event: ``Connection.received`` (WebSocket) or ``EngineServer._take_payload`` (POST),
``Connection.receive``, ``decode`` in this module, the connection's ``Inbox``, ``EngineServer.handle`` after the events
before it, ``handle_packet`` in this module, the application's handler, the acknowledgement.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.background import Background
from app.socketio_server import packets
from app.socketio_server.connection import Connection
from app.socketio_server.endings import CLIENT_NAMESPACE_DISCONNECT
from app.socketio_server.events import Event, WrongArguments, as_arguments, current_event, positional_limits
from app.socketio_server.frames import Encoded, ProtocolError
from app.socketio_server.libraries import ConnectionRefused, SocketIOServer
from app.socketio_server.observer import Observer
from app.socketio_server.packets import Packet
from app.socketio_server.sockets import Leave, Socket, Sockets
from app.socketio_server.timers import TimerQueue

__all__ = ["CONNECT_TIMEOUT", "HandlerError", "ReceivingServer"]

HandlerError = Callable[[str, str, Exception], Any]

CONNECT_TIMEOUT: Final = "connect timeout"


class ReceivingServer(SocketIOServer):
    """Calls the application's handlers, for each client one after another."""

    observer: Observer
    _log: logging.Logger
    _unconnected: TimerQueue[Connection]
    _on_handler_error: HandlerError
    _limits: dict[Any, tuple[int, float]]
    _sockets: dict[str, Socket]
    _background: Background

    def transport_opened(self, session: Connection) -> None:
        """Note that the client must connect to a namespace in time."""
        session.state = Sockets()
        self._unconnected.add(session)

    def decode(self, session: Connection, data: str | bytes) -> Any:
        """Parse a packet as soon as it arrives, so that an invalid one closes the connection at once.

        Acknowledgements are not queued: the running handler may wait for one.
        """
        sockets: Sockets = session.state
        packet = sockets.partial
        if packet is not None:
            if not isinstance(data, bytes):
                raise ProtocolError("missing attachment")
            if not packet.add_attachment(data):
                return None
            sockets.partial = None
        else:
            packet = packets.decode(self.packet_class, data)
            if packet.attachment_count:
                sockets.partial = packet
                return None
        if packet.packet_type not in (packets.ACK, packets.BINARY_ACK):
            return packet
        socket = sockets.by_namespace.get(packet.namespace)
        if socket is not None:
            self._background.start(self._acknowledged(socket.sid, packet))
        elif packet.namespace not in sockets.left:
            raise ProtocolError("not connected")
        return None

    async def handle_packet(self, session: Connection, item: Any) -> None:
        """Handle a queued packet. Raises ``ProtocolError``."""
        if isinstance(item, Leave):
            await self._leave(item.socket, self.reason.SERVER_DISCONNECT)
            return
        sockets: Sockets = session.state
        if item.packet_type == packets.CONNECT:
            await self._connect(session, item.namespace, item.data)
            return
        socket = sockets.by_namespace.get(item.namespace)
        if socket is None:
            # Packets that the client sent before it knew of its disconnection are ignored.
            if item.namespace not in sockets.left:
                raise ProtocolError("not connected")
        elif item.packet_type == packets.DISCONNECT:
            await self._leave(socket, CLIENT_NAMESPACE_DISCONNECT)
        elif self.manager.is_connected(socket.sid, socket.namespace):
            await self._event(socket, item)

    async def transport_closed(self, session: Connection, reason: str) -> None:
        """Disconnect a client from all its namespaces."""
        self._unconnected.discard(session)
        for socket in list(session.state.by_namespace.values()):
            await self._leave(socket, reason)

    def environ_of(self, session: Connection) -> dict[str, Any]:
        """Return the environment for connect handlers: the client's address and the remembered data."""
        return {"REMOTE_ADDR": session.address, **session.remembered}

    def connect_timed_out(self, session: Connection, _due: float) -> None:
        """Close a connection that is in no namespace."""
        session.close(CONNECT_TIMEOUT)

    async def _connect(self, session: Connection, namespace: str, auth: Any) -> None:
        sockets: Sockets = session.state
        if namespace in sockets.by_namespace:
            raise ProtocolError("connected twice")
        if not self.knows_namespace(namespace):
            session.send(self._packet(packets.CONNECT_ERROR, namespace, {"message": "Invalid namespace"}))
            return
        sid = await self.manager.pre_connect(session.sid, namespace)
        socket = self._sockets[sid] = sockets.by_namespace[namespace] = Socket(session, sid, namespace)
        accepted, answer = await self._admit(socket, auth)
        self.observer.connected(accepted)
        if accepted:
            self._unconnected.discard(session)
            sockets.left.discard(namespace)
        session.send(answer)
        if accepted:
            await self.manager.connect(sid, namespace)
            socket.release()

    async def _admit(self, socket: Socket, auth: Any) -> tuple[bool, Encoded]:
        """Call the connect handler; return whether it accepted, and its answer. Refused sockets are removed."""
        refusal: Any = {"message": "Connection refused"}
        try:
            arguments = (socket.sid, self.environ_of(socket.connection), auth)
            result = await self._call(socket, "connect", arguments, ack_requested=False)
        except ConnectionRefused as error:
            result, refusal = False, error.error_args
        except Exception as error:
            result = False
            await self._handler_failed(socket.sid, "connect", error)
        if result is False:
            await self._forget(socket)
            return False, self._packet(packets.CONNECT_ERROR, socket.namespace, refusal)
        answer = {"sid": socket.sid, **(result if isinstance(result, Mapping) else {})}
        try:
            return True, self._packet(packets.CONNECT, socket.namespace, answer)
        except TypeError as error:
            await self._handler_failed(socket.sid, "connect", error)
            # The connect handler accepted the client, so the disconnect handler is called.
            await self._leave(socket, self.reason.SERVER_DISCONNECT)
            return False, self._packet(packets.CONNECT_ERROR, socket.namespace, refusal)

    async def _event(self, socket: Socket, packet: Any) -> None:
        event, *args = packet.data
        try:
            result = await self._call(socket, event, (socket.sid, *args), ack_requested=packet.id is not None)
            self._acknowledge(socket, packet, result)
        except Exception as error:
            answer = await self._handler_failed(socket.sid, event, error)
            try:
                self._acknowledge(socket, packet, answer)
            except TypeError:
                self._log.exception("on_handler_error returned what is not JSON")
                self._acknowledge(socket, packet, None)

    async def _handler_failed(self, sid: str, event: str, error: Exception) -> Any:
        """Notify the application; return the acknowledgement of the event."""
        try:
            answer = self._on_handler_error(sid, event, error)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception:
            self._log.exception("on_handler_error failed")
            return None

    def _acknowledge(self, socket: Socket, packet: Any, result: Any) -> None:
        if packet.id is None:
            return
        answer = self._packet(packets.ACK, packet.namespace, as_arguments(result), packet.id)
        # An event often leads to a message for its own sender, right after it.
        socket.connection.cork()
        socket.connection.send(answer)

    async def _call(self, socket: Socket, event: str, arguments: tuple[Any, ...], *, ack_requested: bool) -> Any:
        """Call the handler of an event, if any. Raises ``WrongArguments`` and the handler's exceptions."""
        handler, arguments = self.find_handler(event, socket.namespace, arguments)
        if handler is None:
            return None
        least, most = self._limits_of(handler)
        if event in self.reserved_events and len(arguments) > most:
            # Handlers in python-socketio's older style omit the last argument.
            arguments = arguments[: int(most)]
        if not least <= len(arguments) <= most:
            raise WrongArguments(event)
        token = current_event.set(Event(event, socket.sid, socket.namespace, ack_requested))
        try:
            result = handler(*arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            current_event.reset(token)

    def _limits_of(self, handler: Any) -> tuple[int, float]:
        if handler not in self._limits:
            self._limits[handler] = positional_limits(handler)
        return self._limits[handler]

    async def _leave(self, socket: Socket, reason: str) -> None:
        """Remove a socket from its namespace after calling its disconnect handler."""
        if self._sockets.get(socket.sid) is not socket:
            return
        sockets: Sockets = socket.connection.state
        self.manager.pre_disconnect(socket.sid, socket.namespace)
        try:
            await self._call(socket, "disconnect", (socket.sid, reason), ack_requested=False)
        except Exception as error:
            await self._handler_failed(socket.sid, "disconnect", error)
        finally:
            await self._forget(socket)
        sockets.left.add(socket.namespace)
        if not sockets.by_namespace and not socket.connection.closed:
            self._unconnected.add(socket.connection)

    async def _forget(self, socket: Socket) -> None:
        del self._sockets[socket.sid], socket.connection.state.by_namespace[socket.namespace]
        await self.manager.disconnect(socket.sid, socket.namespace, ignore_queue=True)

    async def _acknowledged(self, sid: str, packet: Any) -> None:
        try:
            await self.manager.trigger_callback(sid, packet.id, packet.data)
        except Exception as error:
            await self._handler_failed(sid, "ack", error)

    def _packet(
        self, kind: int, namespace: str, data: Any = None, ack: int | None = None, *, compress: bool = False
    ) -> Encoded:
        packet: Packet = self.packet_class(kind, namespace=namespace, data=data, id=ack)
        return packet.encoded(compress=compress)
