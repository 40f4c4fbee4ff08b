"""The ASGI applications behind the two ports."""

from __future__ import annotations

from typing import Any

from app.deadline import Deadline
from app.forwarding.sender import PATH as FORWARDED_PATH
from app.http.capped import Application
from app.http.health import Health
from app.observability.logging import begin_request
from app.replica.drain import with_drain_headers
from app.socketio_server import SocketServer

__all__ = ["InternalApplication", "PublicApplication"]


class PublicApplication:
    """Socket.IO under its path, and the HTTP API.

    An HTTP request has one deadline for all its commands to Redis.
    """

    def __init__(
        self,
        http: Application,
        sockets: SocketServer,
        health: Health,
        *,
        redis_timeout: float,
        affinity_cookie: str | None,
    ) -> None:
        self._http = http
        self._sockets = sockets
        self._health = health
        self._redis_timeout = redis_timeout
        self._affinity_cookie = affinity_cookie

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if f"{scope['path']}/".startswith(self._sockets.path):
            await self._sockets.asgi(scope, receive, send)
            return
        begin_request()
        if self._health.draining:
            send = with_drain_headers(send, self._affinity_cookie)
        with Deadline(self._redis_timeout) as limit:

            async def received() -> Any:
                message = await receive()
                if not message.get("more_body", False):
                    # A body that arrives slowly is the client's delay, not Redis's.
                    limit.restart()
                return message

            await self._http(scope, received, send)


class InternalApplication:
    """Requests forwarded by other replicas under their path, and the probes, metrics and operators' API."""

    def __init__(self, http: Application, forwarded: Application, *, redis_timeout: float) -> None:
        self._http = http
        self._forwarded = forwarded
        self._redis_timeout = redis_timeout

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == FORWARDED_PATH:
            await self._forwarded(scope, receive, send)
            return
        with Deadline(self._redis_timeout):
            await self._http(scope, receive, send)
