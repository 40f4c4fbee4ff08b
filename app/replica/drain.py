"""Moves the clients of a stopping replica to the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import perf_counter
from typing import Any, Final

from app.background import Background
from app.forwarding.sender import ForwardedRequest, Forwarder
from app.http.bucket_cookie import BucketCookie
from app.http.health import Health
from app.observability.metrics import Metrics
from app.replica.headers import drain_headers, encoded
from app.socketio_server import Connection, SocketServer

__all__ = ["Drain", "drain", "with_drain_headers"]

_CLIENTS_PER_SECOND: Final = 50
# The part of the window for closing. Clients need the rest to reconnect, perhaps with several attempts.
_SHARE: Final = 0.5
# The time for pending events of a connection: seconds at most, and the part of the window at most; and the interval of
# checks.
_MAX_TIMEOUT_SECONDS: Final = 5.0
_TIMEOUT_SHARE: Final = 0.25
_POLL_SECONDS: Final = 0.02
# The IANA registry of WebSocket close codes: "service restart".
_CLOSE_CODE: Final = 1012

_logger = logging.getLogger(__name__)


class Drain:
    """The drain of a replica. It starts at most once, by an operator's request or when the replica stops."""

    def __init__(
        self,
        server: SocketServer,
        forwarder: Forwarder,
        health: Health,
        metrics: Metrics,
        *,
        window: float,
        affinity_cookie: str | None,
        bucket_cookie: BucketCookie | None,
    ) -> None:
        self._server = server
        self._forwarder = forwarder
        self._health = health
        self._metrics = metrics
        self._window = window
        self._refusal_headers = drain_headers(affinity_cookie, bucket_cookie)
        self._background = Background("drain", _logger, level=logging.CRITICAL)
        self._task: asyncio.Task[None] | None = None
        self._began_at = 0.0
        self._cut_short = asyncio.Event()
        metrics.drain_seconds.set_function(self._seconds)
        metrics.drain_clients.set_function(lambda: server.open_count if health.draining else 0)

    def begin(self) -> int:
        """Start to close the clients' connections and refuse new ones; return the number of clients."""
        self._begun()
        return self._server.open_count

    async def finish(self) -> None:
        """Drain; return when that is done or ``stop_now`` was called."""
        draining, cut_short = self._begun(), self._background.start(self._cut_short.wait())
        await asyncio.wait({draining, cut_short}, return_when=asyncio.FIRST_COMPLETED)
        await self._background.close()

    def stop_now(self) -> None:
        """End the drain at once, also one that has not started yet."""
        self._cut_short.set()

    def _begun(self) -> asyncio.Task[None]:
        if self._task is None:
            self._health.draining = True
            self._began_at = perf_counter()
            self._metrics.draining.set(1)
            draining = drain(self._server, self._forwarder, self._window, self._refusal_headers)
            self._task = self._background.start(draining)
        return self._task

    def _seconds(self) -> float:
        if self._task is None or not self._server.open_count:
            return 0
        return perf_counter() - self._began_at


async def drain(
    server: SocketServer, forwarder: Forwarder, window: float, refusal_headers: list[tuple[str, str]]
) -> None:
    """Refuse new connections and close the others one by one, within half of ``window`` seconds.

    Clients reconnect to other replicas at once, so closing is spread over time. A connection is closed after its
    pending events were handled and acknowledged, or after a few seconds. Forwarded requests are aborted after the
    connections.

    ``refusal_headers``: clear the cookies by which a load balancer sends a refused client to this replica.
    """
    server.stop_accepting(503, [(b"retry-after", b"1"), *encoded(refusal_headers)])
    connections, requests = server.connections(), forwarder.drain()
    pause = min(window * _SHARE / max(1, len(connections) + len(requests)), 1 / _CLIENTS_PER_SECOND)
    timeout = min(_MAX_TIMEOUT_SECONDS, window * _TIMEOUT_SHARE)
    async with asyncio.TaskGroup() as leaving:
        for connection in connections:
            leaving.create_task(_send_away(connection, timeout))
            await asyncio.sleep(pause)
        for request in requests:
            leaving.create_task(_abort(request, timeout))
            await asyncio.sleep(pause)


def with_drain_headers(send: Any, affinity_cookie: str | None) -> Any:
    """Wrap an ASGI ``send``: add headers that keep clients from returning to this replica."""
    headers = encoded(drain_headers(affinity_cookie))

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return sending


async def _send_away(connection: Connection, timeout: float) -> None:
    for _ in range(round(timeout / _POLL_SECONDS)):
        if connection.leave("drained", code=_CLOSE_CODE):
            return
        await asyncio.sleep(_POLL_SECONDS)
    connection.close("drained", code=_CLOSE_CODE)


async def _abort(request: ForwardedRequest, timeout: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(request.interruptible.wait(), timeout)
    request.abort()
