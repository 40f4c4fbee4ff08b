"""A port that serves an ASGI application with uvicorn in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from app.http.lane import JoinLane
from app.http.port import PortLimits, PortState, TakeOver
from app.http.protocol import HttpProtocol
from app.socketio_server import UvicornWebSocketProtocol

__all__ = ["Listener"]

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
_UNSENT: Final = 128 * 1024
_TICK_SECONDS: Final = 1.0
# The number of a tick at which uvicorn renews the date of its answers.
_REFRESH_HEADERS: Final = 0


class Listener(uvicorn.Server):
    """One application on one port. The process handles signals itself."""

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        *,
        limits: PortLimits,
        max_message: int,
        timeout: int,
        unread_timeout: float,
        take_over: TakeOver | None = None,
        lane: JoinLane | None = None,
    ) -> None:
        """Create a listener.

        ``max_message``: bytes of a WebSocket message. ``timeout``: seconds for requests in progress at the end.
        ``unread_timeout``: seconds for a client to take data that the kernel has buffered for it.
        ``take_over`` returns a protocol for a WebSocket, and ``lane`` answers joins, before the application is called.
        """
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                loop="none",
                http=HttpProtocol,
                ws=UvicornWebSocketProtocol,
                ws_max_size=max_message,
                ws_per_message_deflate=False,
                ws_ping_interval=None,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # A pipelined request is started by the previous one, whose deadline must not apply to it.
                reset_contextvars=True,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=timeout,
                backlog=_BACKLOG,
            )
        )
        self.server_state = PortState(limits, take_over, lane)
        self._socket = _bind(host, port, unread_timeout)
        self.port: int = self._socket.getsockname()[1]
        self._serving: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def main_loop(self) -> None:
        # The library's wakes up ten times a second to see whether it should stop.
        while not await self.on_tick(_REFRESH_HEADERS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._stopping.wait()

    async def start(self) -> None:
        """Start to serve; connections are accepted when this returns."""
        self._serving = asyncio.get_running_loop().create_task(self.serve(sockets=[self._socket]))
        await self._listening.wait()

    async def stop(self) -> None:
        """Accept no more connections and wait for requests in progress."""
        self.should_exit = True
        self._stopping.set()
        if self._serving is not None:
            await self._serving


def _bind(host: str, port: int, unread_timeout: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Inherited by every connection. Without it the kernel buffers megabytes of outdated states for a client that
        # does not read; with it messages wait in our queue, where newer states replace older ones.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Inherited as well. Without it the kernel keeps the data of connections that were closed, for many minutes.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unread_timeout * 1000))
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"{error.strerror}: {host}:{port}") from error
    return bound
