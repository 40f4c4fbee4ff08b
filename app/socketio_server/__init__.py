"""A strict Socket.IO server for any application's handlers.

It is python-socketio's ``AsyncServer`` with another engine, which follows the official protocol strictly: invalid
packets end the connection, the events of a client are handled one after another, and a message to many clients is
encoded once.

    server = SocketServer(Options(max_payload=16_384), origins=Origins(AllowedOrigins(["https://example.org"])))

    @server.event
    async def connect(sid, environ, auth):      # environ holds what ``remember`` returned; auth is a dict or None
        return {"pid": "..."}                   # False or ConnectionRefusedError refuses; a dict joins the answer

    @server.on("hello")
    async def hello(sid, *args):                # what it returns is the acknowledgement
        await server.enter_room(sid, "greeted")
        server.deliver(server.manager.members("greeted"), server.encode("welcome", sid), latest="welcome")

    @server.on("*")
    async def unknown(event, sid, *args): ...   # events without a handler

    await server.start()                        # server.asgi is the application for server.path
    await server.close()

Connection state recovery: after a CONNECT answer with a ``pid``, socket.io-client 4.6 and later sends ``pid`` and
``offset`` in ``auth`` when it reconnects. It sets ``recovered`` if it gets the same ``pid`` again. The offset is the
last argument of the last event, if that is a string. Messages sent by a connect handler follow the CONNECT answer.

An event that asks for an acknowledgement gets exactly one. It has the result of the handler, or ``[]`` if there is no
handler. If the handler raised, or the client sent too many or too few arguments (``WrongArguments``), it has the result
of ``on_handler_error``. ``current_event`` tells a handler whether an acknowledgement was asked for.
"""

from app.socketio_server.admission import ConnectionLimits, Gate, Origins, peer_address
from app.socketio_server.asgi import end_websocket
from app.socketio_server.connection import Connection
from app.socketio_server.endings import CLIENT_NAMESPACE_DISCONNECT
from app.socketio_server.engineio import EngineServer
from app.socketio_server.events import Event, WrongArguments, current_event
from app.socketio_server.frames import Encoded, Outgoing, ProtocolError, message
from app.socketio_server.hooks import RequestHooks, new_id
from app.socketio_server.libraries import UvicornWebSocketProtocol, abort, flushed
from app.socketio_server.manager import RoomManager
from app.socketio_server.observer import Observer
from app.socketio_server.options import Options
from app.socketio_server.refusals import unavailable
from app.socketio_server.server import SocketServer
from app.socketio_server.websocket import WebSocketProtocol

__all__ = [
    "CLIENT_NAMESPACE_DISCONNECT",
    "Connection",
    "ConnectionLimits",
    "Encoded",
    "EngineServer",
    "Event",
    "Gate",
    "Observer",
    "Options",
    "Origins",
    "Outgoing",
    "ProtocolError",
    "RequestHooks",
    "RoomManager",
    "SocketServer",
    "UvicornWebSocketProtocol",
    "WebSocketProtocol",
    "WrongArguments",
    "abort",
    "current_event",
    "end_websocket",
    "flushed",
    "message",
    "new_id",
    "peer_address",
    "unavailable",
]
