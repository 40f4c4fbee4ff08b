"""What an application decides about the requests of clients."""

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
    """Functions of the ASGI scope of a request, and what they decide.

    address: the client's address
    remember: what is kept of the request that opens a session, and nothing else of it: a client may send a great many
        headers
    new_id: makes Engine.IO session ids; they must not be guessable
    foreign_session: is asked about a request or an upgrade whose session is unknown here, before anything of it is
        read; returns whether it has answered
    """

    address: Callable[[Scope], str] = peer_address
    remember: Callable[[Scope], Mapping[str, Any]] = _nothing
    new_id: Callable[[], str] = new_id
    foreign_session: ForeignSession | None = None
