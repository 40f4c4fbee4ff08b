"""The record of one socket of this replica."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from app.sessions.access import Access
from app.sessions.admission import Client

__all__ = ["SocketSession", "TriedChange"]


class TriedChange(NamedTuple):
    """A socket's last change: its idempotency key, and the socket's access to its session at that time."""

    key: str
    access: Access


@dataclass(eq=False, slots=True)
class SocketSession:
    """A socket, from its CONNECT until it disconnects.

    ``connection`` is its name in Redis. ``recovery`` is the id that continues it, known to its client only.
    ``attached`` are sessions in which Redis may have the connection although the socket is not a member.
    ``join_deadline`` is the timer that closes a socket that joins no session.
    """

    sid: str
    client: Client
    connection: str
    recovery: str
    attached: set[str] = field(default_factory=set)
    join_deadline: asyncio.TimerHandle | None = None
    tried: TriedChange | None = None
