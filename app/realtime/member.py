"""A socket of this replica that has joined a session."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.sessions.access import Access
from app.sessions.head import Head
from app.socketio_server import Encoded, Outgoing

__all__ = ["Emitter", "Member"]


@dataclass(eq=False, slots=True)
class Member:
    """A socket of this replica that has joined a session.

    ``connection`` is its name in Redis. ``recovery`` is the id with which a later socket can continue it.
    ``membership_id`` identifies the participant's stay, from joining to leaving. ``since`` is the head at which the
    socket was attached. ``name`` is the participant's last known name. ``seen`` is the newest head that was sent to the
    socket, perhaps in a queue. ``informed`` is what the client had seen when it came, ``told`` the time of the decision
    that it was told. With ``patches``, ``written`` is the head of the state that was written last.
    """

    sid: str
    access: Access
    membership_id: int
    since: Head
    connection: str
    recovery: str
    name: str
    informed: Head
    patches: bool = False
    seen: Head | None = None
    written: Head | None = None
    told: int | None = None
    warned: bool = False
    leaving: bool = False
    reattaching: bool = False

    @property
    def code(self) -> str:
        return self.access.code

    @property
    def observes(self) -> bool:
        """Whether it only watches, as no participant."""
        return self.access.credential.kind == "observer"

    @property
    def participant(self) -> str:
        return self.access.credential.subject


class Emitter(Protocol):
    """The engine's interface for sending: encode an event once, deliver it to any number of sockets.

    ``compress``: an event without secrets may be compressed. ``cork`` writes what one socket is sent from now on
    together, once the event loop has handled what it receives next.
    """

    def encode(self, event: str, *args: object, compress: bool = False) -> Encoded: ...

    def deliver(self, sids: Iterable[str], outgoing: Outgoing, *, latest: Hashable | None = None) -> None: ...

    def cork(self, sid: str) -> None: ...
