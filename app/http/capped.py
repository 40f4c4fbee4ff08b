"""Limits the concurrent requests of one client address behind a proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from app.http.addresses import AddressCap, ClientAddresses
from app.http.answers import JOIN_PATH
from app.sessions.errors import SessionError

__all__ = ["Application", "CappedRequests", "RequestCap"]

Application = Callable[[Any, Any, Any], Awaitable[None]]


class RequestCap:
    """A limit of ``most`` concurrent HTTP requests for each address.

    Only requests from trusted proxies are counted. Clients that connect directly are limited by their TCP connections.
    """

    def __init__(self, addresses: ClientAddresses, most: int) -> None:
        self._addresses = addresses
        self._cap = AddressCap(most, addresses.is_unlimited)

    def counted_as(self, scope: Mapping[str, Any]) -> str | None:
        """Return the address that a request is counted for, None if it is not counted."""
        peer = scope.get("client")
        if peer is None or not self._addresses.is_trusted(peer[0]):
            return None
        return self._addresses.address(scope)

    def enter(self, address: str) -> bool:
        """Count one more request. Return false if the address has too many."""
        return self._cap.enter(address)

    def leave(self, address: str) -> None:
        """Count one request less."""
        self._cap.leave(address)


class CappedRequests:
    """An ASGI application: ``application``, whose concurrent HTTP requests are limited by ``cap``."""

    def __init__(self, application: Application, cap: RequestCap) -> None:
        self._application = application
        self._cap = cap

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        address = self._cap.counted_as(scope) if scope["type"] == "http" else None
        if address is None:
            await self._application(scope, receive, send)
            return
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
