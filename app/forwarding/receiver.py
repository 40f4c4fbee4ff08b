"""Serves requests that another replica forwarded to this one, the owner of their session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from app.forwarding.sender import FORWARDED
from app.forwarding.signature import CLIENT, SIGNATURE, RequestSigner
from app.observability.logging import Throttle
from app.sessions.answers import error_body
from app.sessions.errors import SessionError

__all__ = ["ForwardingReceiver"]

Application = Callable[[Any, Any, Any], Awaitable[None]]

# Values of these headers are taken from the forwarding replica only.
_REPLACED: Final = (CLIENT, SIGNATURE, b"x-forwarded-for")


class ForwardingReceiver:
    """An ASGI application for the internal port.

    It serves ``application`` at ``path`` as if the client had connected to this replica. A request without a valid
    signature is refused with 403.
    """

    def __init__(self, replica: str, signer: RequestSigner, application: Application, path: str) -> None:
        self._replica = replica
        self._signer = signer
        self._application = application
        self._path = path
        self._log = Throttle(logging.getLogger(__name__))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = self._verified_client(scope)
        if client is None:
            self._log.warning("forwarded request refused: invalid signature")
            await _refuse(scope, receive, send)
            return
        original = {
            "path": self._path,
            "raw_path": self._path.encode(),
            "client": (client, 0),
            "headers": [field for field in scope["headers"] if field[0] not in _REPLACED],
            FORWARDED: True,
        }
        await self._application({**scope, **original}, receive, send)

    def _verified_client(self, scope: Any) -> str | None:
        method = scope.get("method", "GET")
        try:
            return self._signer.verify(self._replica, method, scope["query_string"], scope["headers"])
        except SessionError:
            return None


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
        return
    error = SessionError("forbidden")
    headers = [(b"content-type", b"application/json"), (b"x-error-code", error.code.encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(error_body(error))})
