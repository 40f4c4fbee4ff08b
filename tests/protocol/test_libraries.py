"""What the engine takes for granted about the inside of the libraries below it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import engineio
import pytest
import socketio
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.socketio_server import SocketServer

from .harness import recorder


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (socketio.AsyncServer, "_engineio_server_class", ["self"]),
        (socketio.AsyncServer, "_get_event_handler", ["self", "event", "namespace", "args"]),
        (socketio.AsyncServer, "_get_namespace_handler", ["self", "namespace", "args"]),
        (socketio.AsyncServer, "disconnect", ["self", "sid", "namespace", "ignore_queue"]),
        (socketio.AsyncServer, "get_session", ["self", "sid", "namespace"]),
        (socketio.AsyncServer, "save_session", ["self", "sid", "session", "namespace"]),
        (engineio.AsyncServer, "on", ["self", "event", "handler"]),
        (engineio.AsyncServer, "handle_request", ["self", "args", "kwargs"]),
        (engineio.AsyncServer, "disconnect", ["self", "sid"]),
        (engineio.AsyncServer, "shutdown", ["self"]),
        (engineio.AsyncServer, "generate_id", ["self"]),
        (WebSocketsSansIOProtocol, "connection_lost", ["self", "exc"]),
        (WebSocketsSansIOProtocol, "data_received", ["self", "data"]),
        (WebSocketsSansIOProtocol, "resume_writing", ["self"]),
        (WebSocketsSansIOProtocol, "receive", ["self"]),
        (WebSocketsSansIOProtocol, "send", ["self", "message"]),
        (WebSocketsSansIOProtocol, "handle_ping", ["self"]),
        (WebSocketsSansIOProtocol, "on_task_complete", ["self", "task"]),
        (WebSocketsSansIOProtocol, "handle_cont", ["self", "event"]),
        (WebSocketsSansIOProtocol, "send_receive_event_to_app", ["self"]),
        (WebSocketsSansIOProtocol, "handle_parser_exception", ["self"]),
        (FlowControl, "__init__", ["self", "transport"]),
        (FlowControl, "drain", ["self"]),
        (FlowControl, "resume_reading", ["self"]),
        # app/http/protocol.py
        (HttpToolsProtocol, "connection_made", ["self", "transport"]),
        (HttpToolsProtocol, "connection_lost", ["self", "exc"]),
        (HttpToolsProtocol, "data_received", ["self", "data"]),
        (HttpToolsProtocol, "pause_writing", ["self"]),
        (HttpToolsProtocol, "resume_writing", ["self"]),
        (HttpToolsProtocol, "on_message_begin", ["self"]),
        (HttpToolsProtocol, "on_header", ["self", "name", "value"]),
        (HttpToolsProtocol, "on_headers_complete", ["self"]),
        (HttpToolsProtocol, "on_body", ["self", "body"]),
        (HttpToolsProtocol, "on_message_complete", ["self"]),
        (HttpToolsProtocol, "on_response_complete", ["self"]),
        (HttpToolsProtocol, "shutdown", ["self"]),
        (HttpToolsProtocol, "timeout_keep_alive_handler", ["self"]),
        (HttpToolsProtocol, "_start_asgi_task", ["self", "cycle", "app"]),
    ],
)
def test_a_method_is_where_it_was(owner: Any, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            HttpToolsProtocol,
            "app_state client config connections cycle expect_100_continue flow headers loop parser pipeline"
            " server_state timeout_keep_alive transport url",
        ),
        (
            RequestResponseCycle,
            "disconnected flow keep_alive message_event response_complete response_started transport"
            " waiting_for_100_continue",
        ),
        (
            WebSocketsSansIOProtocol,
            "close_sent close_timeout conn curr_msg_data_type frames handshake_complete handshake_initiated queue"
            " read_paused request transport writable",
        ),
    ],
    ids=["http", "request", "websocket"],
)
def test_an_attribute_of_uvicorn_is_where_it_was(owner: type, names: str) -> None:
    assert set(names.split()) <= _attributes_set_by(owner)


def test_uvicorn_is_extended_in_two_modules_only() -> None:
    app = Path(__file__).parents[2] / "app"
    extending = {
        path.relative_to(app).as_posix() for path in app.rglob("*.py") if "uvicorn.protocols" in path.read_text()
    }
    assert extending == {"http/protocol.py", "socketio_server/libraries.py"}


@pytest.mark.parametrize(
    "name",
    [
        *("emit", "pre_connect", "connect", "pre_disconnect", "disconnect", "can_disconnect", "is_connected"),
        *("enter_room", "leave_room", "close_room", "basic_enter_room", "basic_leave_room", "basic_close_room"),
        *("get_rooms", "get_participants", "basic_disconnect", "trigger_callback", "initialize"),
        *("eio_sid_from_sid", "is_sid_room"),
    ],
)
def test_a_manager_has_the_methods_that_are_replaced(name: str) -> None:
    assert callable(getattr(socketio.AsyncManager, name))


def test_the_packet_class_is_given_through_the_constructor() -> None:
    server = SocketServer()
    assert issubclass(server.packet_class, socketio.packet.Packet)
    assert socketio.packet.Packet.json is not server.packet_class.json
    assert server.manager.server is server
    assert server.handlers == {}
    assert server.namespace_handlers == {}


async def test_an_http_response_of_uvicorn_tells_its_transport_and_flow() -> None:
    owners: list[Any] = []

    async def foreign(sid: str, scope: Any, receive: Any, send: Any) -> bool:
        owners.append(send.__self__)
        return False

    async with recorder(foreign_session=foreign) as record:
        await record.client.poll("unknown")
    (owner,) = owners
    assert isinstance(owner, RequestResponseCycle)
    assert isinstance(owner.flow, FlowControl)
    assert callable(owner.transport.abort)


def _attributes_set_by(owner: type) -> set[str]:
    """Return the attributes that the module of a class assigns to ``self``."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(owner) or owner))
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
    return {
        node.attr
        for node in ast.walk(definition)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
