"""Limits the concurrent requests of one client address behind a proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from app.http.addresses import AddressCap, ClientAddresses
from app.http.answers import JOIN_PATH
from app.sessions.errors import SessionError

__all__ = ["Application", "CappedRequests"]

Application = Callable[[Any, Any, Any], Awaitable[None]]


class CappedRequests:
    """An ASGI application: ``application``, with at most ``most`` concurrent HTTP requests of one address.

    Only requests from trusted proxies are counted. Clients that connect directly are limited by their TCP connections.
    """

    def __init__(self, application: Application, addresses: ClientAddresses, most: int) -> None:
        self._application = application
        self._addresses = addresses
        self._cap = AddressCap(most, addresses.is_unlimited)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        peer = scope.get("client")
        if scope["type"] != "http" or peer is None or not self._addresses.is_trusted(peer[0]):
            await self._application(scope, receive, send)
            return
        address = self._addresses.address(scope)
        if not self._cap.enter(address):
            await _refuse(scope, send)
            return
        try:
            await self._application(scope, receive, send)
        finally:
            self._cap.leave(address)


async def _refuse(scope: Any, send: Any) -> None:
    error = SessionError("too-many-requests")
    body = {"message": error.message}
    if scope["path"].rstrip("/") != JOIN_PATH:
        body["code"] = error.code
    content = orjson.dumps(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"x-error-code", error.code.encode()),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
