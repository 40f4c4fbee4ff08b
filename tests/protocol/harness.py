"""A real server on an ephemeral port, and raw clients that speak the protocol by hand."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection

from app.http.port import PortLimits, PortState, TakeOver
from app.http.protocol import HttpProtocol
from app.origins import AllowedOrigins
from app.socketio_server import (
    Connection,
    ConnectionLimits,
    EngineServer,
    Options,
    Origins,
    RequestHooks,
    SocketServer,
    UvicornWebSocketProtocol,
    message,
)
from tests.harness.waiting import until

# What the official suites ask of a server under test.
PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2
MAX_PAYLOAD = 1_000_000

SEPARATOR = "\x1e"
SOCKET_BUFFER = 32_768


def port_limits(path: str) -> PortLimits:
    return PortLimits(
        websocket_path=path,
        max_connections=10_000,
        max_connections_per_address=10_000,
        exempt=lambda _address: True,
        write_timeout=20,
        max_unread=1 << 26,
    )


@contextlib.asynccontextmanager
async def serve(
    app: Any, *, path: str = "/socket.io/", take_over: TakeOver | None = None, **options: Any
) -> AsyncIterator[str]:
    """Serve an ASGI application with uvicorn; give its `host:port`.

    With `take_over` the service's own HTTP protocol hands WebSockets at `path` over, else uvicorn is as it is shipped.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What the kernel takes for a side that does not read; its default is megabytes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * SOCKET_BUFFER)
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http="httptools" if take_over is None else HttpProtocol,
            ws=UvicornWebSocketProtocol,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            **options,
        )
        config.load()
        server = uvicorn.Server(config)
        if take_over is not None:
            server.server_state = PortState(port_limits(path), take_over)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # uvicorn's own shutdown takes a nap of 100 ms.
            for connection in list(server.server_state.connections):
                connection.shutdown()
            for asyncio_server in server.servers:
                asyncio_server.close()
            await until(lambda: not server.server_state.tasks)


@contextlib.asynccontextmanager
async def serving(server: SocketServer, *, direct: bool = True, **options: Any) -> AsyncIterator[str]:
    """Start and serve a Socket.IO server, its WebSockets `direct` or by ASGI; close it at the end."""
    await server.start()
    async with serve(
        server.asgi, path=server.path, take_over=server.take_over if direct else None, **options
    ) as address:
        try:
            yield address
        finally:
            await server.close()


def socket_server(*, allowed_origins: Iterable[str] = (), **given: Any) -> SocketServer:
    """A server whose value objects are made of options by name."""

    def made(kind: Any) -> Any:
        return kind(**{name: given.pop(name) for name in inspect.signature(kind).parameters if name in given})

    options, limits, hooks = made(Options), made(ConnectionLimits), made(RequestHooks)
    origins = Origins(AllowedOrigins(allowed_origins))
    return SocketServer(options, origins=origins, limits=limits, hooks=hooks, **given)


def echo_server(**options: Any) -> SocketServer:
    """The application that the official Socket.IO suite wants."""
    defaults: dict[str, Any] = {
        "namespaces": ["/", "/custom"],
        "ping_interval": PING_INTERVAL,
        "ping_timeout": PING_TIMEOUT,
        "connect_timeout": 1,
        "max_payload": MAX_PAYLOAD,
        "allowed_origins": "*",
        "binary": True,
    }
    server = socket_server(**(defaults | options))

    for namespace in ("/", "/custom"):

        async def connect(sid: str, environ: Any, auth: Any, namespace: str = namespace) -> None:
            await server.emit("auth", auth or {}, to=sid, namespace=namespace)

        async def echo(sid: str, *args: Any, namespace: str = namespace) -> None:
            await server.emit("message-back", args, to=sid, namespace=namespace)

        async def acknowledge(sid: str, *args: Any) -> tuple[Any, ...]:
            return args

        server.on("connect", connect, namespace=namespace)
        server.on("message", echo, namespace=namespace)
        server.on("message-with-ack", acknowledge, namespace=namespace)
    return server


@dataclass
class Recorder:
    """A server like the service's, its handlers' calls, and a client of it."""

    server: SocketServer
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    client: Client = field(init=False)

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)


@contextlib.asynccontextmanager
async def recorder(*, direct: bool = True, **options: Any) -> AsyncIterator[Recorder]:
    """A server that records what reaches its handlers; `hello` acknowledges with its arguments."""
    server = socket_server(**({"max_payload": 16_384} | options))
    record = Recorder(server)

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        record.calls.append(("connect", auth))

    async def disconnect(sid: str, reason: str) -> None:
        record.calls.append(("disconnect", reason))

    async def hello(sid: str, *args: Any) -> tuple[Any, ...]:
        record.calls.append(("hello", *args))
        return args

    server.on("connect", connect)
    server.on("disconnect", disconnect)
    server.on("hello", hello)
    async with serving(server, direct=direct) as address, Client(address, engine=server.eio) as client:
        record.client = client
        yield record


@contextlib.asynccontextmanager
async def engine_echo(*, direct: bool = True, **options: Any) -> AsyncIterator[Client]:
    """A client of the application that the official Engine.IO suite wants."""
    defaults: dict[str, Any] = {
        "ping_interval": PING_INTERVAL,
        "ping_timeout": PING_TIMEOUT,
        "max_payload": MAX_PAYLOAD,
        "binary": True,
    }
    engine = EngineServer(
        Options(**(defaults | options)),
        origins=Origins(AllowedOrigins("*")),
        limits=ConnectionLimits(),
        hooks=RequestHooks(),
    )

    async def echo(session: Connection, data: str | bytes) -> None:
        session.send(message(data))

    engine.on("message", echo)
    take_over = engine.take_over if direct else None
    async with (
        serve(engine.handle_request, path="/engine.io/", take_over=take_over) as address,
        Client(address, "/engine.io/", engine=engine) as client,
    ):
        try:
            yield client
        finally:
            await engine.shutdown()


class Client:
    """Speaks Engine.IO by hand, at one path of one server."""

    def __init__(self, address: str, path: str = "/socket.io/", *, engine: EngineServer) -> None:
        self.address = address
        self.path = path
        self.engine = engine
        self._http = httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=10)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.aclose()

    async def request(self, method: str, query: str, body: str | bytes | None = None, **options: Any) -> httpx.Response:
        return await self._http.request(method, f"{self.path}?{query}", content=body, **options)

    async def handshake(self) -> str:
        """Open a session over polling; return its sid."""
        response = await self.request("GET", "EIO=4&transport=polling")
        return str(json.loads(response.text[1:])["sid"])

    async def poll(self, sid: str) -> httpx.Response:
        return await self.request("GET", f"EIO=4&transport=polling&sid={sid}")

    async def pinged(self, sid: str) -> None:
        """Wait until a PING waits to be polled; a busy server may have closed the session by then."""
        sockets = self.engine.sockets
        await until(lambda: sid not in sockets or sockets[sid].unsent, "a PING waits to be polled")

    async def post(self, sid: str, body: str | bytes) -> httpx.Response:
        return await self.request("POST", f"EIO=4&transport=polling&sid={sid}", body)

    def websocket(self, query: str = "EIO=4&transport=websocket", **options: Any) -> websockets.connect:
        return websockets.connect(
            f"ws://{self.address}{self.path}?{query}", proxy=None, ping_interval=None, **{"compression": None} | options
        )

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[ClientConnection]:
        """A WebSocket session whose OPEN packet has been read."""
        async with self.websocket() as websocket:
            await websocket.recv()
            yield websocket

    @contextlib.asynccontextmanager
    async def connected(self, namespace: str = "/", auth: Any = None) -> AsyncIterator[ClientConnection]:
        """A WebSocket in a namespace of the echo server, whose CONNECT answer and `auth` event have been read."""
        async with self.opened() as websocket:
            prefix = "" if namespace == "/" else namespace + ","
            await websocket.send("40" + prefix + ("" if auth is None else json.dumps(auth)))
            await websocket.recv()
            await websocket.recv()
            yield websocket

    async def connect(self) -> str:
        """Connect to the main namespace over polling; return the session's sid."""
        sid = await self.handshake()
        await self.post(sid, "40")
        await self.poll(sid)
        return sid

    @contextlib.asynccontextmanager
    async def unread(self) -> AsyncIterator[ClientConnection]:
        """A WebSocket in the main namespace that reads from the network only while `recv` is waiting."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        connection.setblocking(False)
        host, port = self.address.split(":")
        await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        async with self.websocket(sock=connection, max_queue=(1, 0), max_size=None) as websocket:
            await websocket.recv()
            await websocket.send("40")
            await websocket.recv()
            yield websocket

    @contextlib.asynccontextmanager
    async def joined(self) -> AsyncIterator[ClientConnection]:
        """A WebSocket in the main namespace whose CONNECT answer has been read."""
        async with self.opened() as websocket:
            await websocket.send("40")
            assert str(await receive(websocket)).startswith("40{")
            yield websocket

    async def upgrade(self, sid: str, websocket: ClientConnection) -> None:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        await websocket.send("5")


async def closed(websocket: ClientConnection) -> list[str | bytes]:
    """Wait until the server has closed a WebSocket; return what came before."""
    received = []
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            received.append(await websocket.recv())
    return received


async def closed_at_once(websocket: ClientConnection) -> None:
    """Check that the server closes a WebSocket within 200 ms."""
    async with asyncio.timeout(0.2):
        await closed(websocket)


async def receive(websocket: ClientConnection) -> str | bytes:
    """Return the next message that is no PING."""
    while (received := await websocket.recv()) == "2":
        await websocket.send("3")
    return received


async def soon(awaitable: Any, seconds: float = 5) -> Any:
    """Wait for what must happen, for a bounded time."""
    async with asyncio.timeout(seconds):
        return await awaitable
