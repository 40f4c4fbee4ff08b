"""One record for each socket of this replica."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from app.sessions.admission import Client
from app.sessions.service import Access

__all__ = ["SocketSession", "TriedChange"]


class TriedChange(NamedTuple):
    """The change that a socket tried last, by its idempotency key, and who it was in its session then."""

    key: str
    access: Access


@dataclass(eq=False, slots=True)
class SocketSession:
    """A socket, from its CONNECT until it disconnects.

    ``connection`` is its name in Redis; ``recovery`` the id that continues it, secret to its client. ``attached`` are
    sessions in which Redis may have the connection although its socket is not a member. ``join_deadline`` is the timer
    that closes a socket which is in no session by then.
    """

    sid: str
    client: Client
    connection: str
    recovery: str
    attached: set[str] = field(default_factory=set)
    join_deadline: asyncio.TimerHandle | None = None
    tried: TriedChange | None = None
