"""What the atomic steps of a session take, and what they reply. Times are Unix milliseconds by the store's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.sessions.model import Head
from app.sessions.permissions import Action
from app.sessions.tokens import Credential

__all__ = [
    "Attached",
    "Attachment",
    "Author",
    "Extended",
    "HostTokenGeneration",
    "MoviesStored",
    "NewMovie",
    "NewSession",
    "Operator",
    "Person",
    "Removal",
    "SessionSettings",
    "Swept",
]

Removal = Literal["kicked", "banned", "left"]


@dataclass(frozen=True, slots=True)
class Person:
    """A person who asks for a change. With a ``key``, repeats of the change are applied once."""

    credential: Credential
    action: Action
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator who asks for a change of the session with this ``instance``."""

    instance: str
    action: Action


Author = Person | Operator


@dataclass(frozen=True, slots=True)
class NewMovie:
    """A movie to add; ``details`` are JSON."""

    id: str
    details: str


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to create; durations are milliseconds.

    ``unjoined``: the shorter lifetime until somebody has joined, if there is one; ``quarantine``: how long the code is
    not reused; ``departed_ratings``: ``keep`` or ``drop`` those of participants who leave.
    """

    epoch: str
    lifetime: int
    unjoined: int | None
    max_lifetime: int
    quarantine: int
    capacity: int
    departed_ratings: str
    title: str | None
    movies: Sequence[NewMovie]


@dataclass(frozen=True, slots=True)
class ContinuedMembership:
    """A membership that is continued.

    ``id`` is the order of joining, which is unique in the session. ``epoch``, in which its connection was attached, and
    ``name`` of the participant are given where they are known.
    """

    id: int
    epoch: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A connection to attach to a participant: a new one, or that of the credential.

    ``newcomer``: the id of a new participant; ``recovery``: the id by which the connection can be continued, which has
    to be valid where ``recovering``; ``second_connection``: the policy for a participant who is connected already;
    ``lease_renewed_at``: when the replica's lease was renewed last.
    """

    connection: str
    recovery: str
    newcomer: str
    second_connection: str
    credential: Credential | None = None
    name: str | None = None
    recovering: bool = False
    continued: ContinuedMembership | None = None
    lease_renewed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """The participant that a connection was attached to.

    ``free_at``: when the session's code is free again; ``votes``: the participant's own ratings by movie.
    """

    head: Head
    instance: str
    participant: str
    membership_id: int
    free_at: int
    name: str
    votes: dict[str, int]


@dataclass(frozen=True, slots=True)
class MoviesStored:
    """The version with the movies; ids of those ``added`` and of those that were ``present`` already."""

    version: int
    added: list[str]
    present: list[str]


@dataclass(frozen=True, slots=True)
class HostTokenGeneration:
    """The version, and the generation of the host token that is valid from now on."""

    version: int
    generation: int


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What the host changes: None leaves it as it is, an empty ``title`` removes it; ``lifetime`` in milliseconds."""

    title: str | None = None
    capacity: int | None = None
    locked: bool | None = None
    lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """How many participants were removed, and when to look again (0: nobody is disconnected)."""

    removed: int
    next_due: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The store's time, and the session's expiry, deadline and lifetime (milliseconds)."""

    now: int
    expires_at: int
    deadline: int
    lifetime: int
