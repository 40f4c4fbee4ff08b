"""Hooks by which an application controls the handling of requests."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.socketio_server.admission import peer_address
from app.socketio_server.interfaces import Receive, Scope, Send

__all__ = ["ForeignSession", "RequestHooks", "new_id"]

ForeignSession = Callable[[str, Scope, Receive, Send], Awaitable[bool]]


def new_id() -> str:
    """Return a session id that cannot be guessed: 120 random bits, 20 URL-safe characters."""
    return secrets.token_urlsafe(15)


def _nothing(_scope: Scope) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class RequestHooks:
    """Functions that are called with the ASGI scope of a request.

    address: returns the client's address
    remember: returns the data to keep of the request that opens a session; nothing else is kept, since a client may
        send a great many headers
    new_id: returns a new Engine.IO session id, which must not be guessable
    foreign_session: is called for a request or upgrade with an unknown session id, before its body is read; returns
        whether it has sent a response
    """

    address: Callable[[Scope], str] = peer_address
    remember: Callable[[Scope], Mapping[str, Any]] = _nothing
    new_id: Callable[[], str] = new_id
    foreign_session: ForeignSession | None = None
