"""A socket of this replica that is in a session."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.sessions.model import Head
from app.sessions.service import Access
from app.socketio_server import Encoded

__all__ = ["Emitter", "Member"]


@dataclass(eq=False, slots=True)
class Member:
    """``connection`` is its name in Redis, ``recovery`` the id by which a later socket can continue it.

    ``membership_id`` names the time since its participant joined, ``since`` is the head at which the socket was
    attached, ``name`` what its participant was called last, ``seen`` the newest head it was shown.
    """

    sid: str
    access: Access
    membership_id: int
    since: Head
    connection: str
    recovery: str
    name: str
    seen: Head | None = None
    warned: bool = False
    leaving: bool = False
    reattaching: bool = False

    @property
    def code(self) -> str:
        return self.access.code

    @property
    def participant(self) -> str:
        return self.access.credential.subject


class Emitter(Protocol):
    """What the engine offers for sending: encode once, write to any number of sockets at once."""

    def encode(self, event: str, *args: object) -> Encoded: ...

    def deliver(self, sids: Iterable[str], encoded: Encoded, *, latest: Hashable | None = None) -> None: ...
