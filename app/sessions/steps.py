"""Arguments and results of the atomic steps of a session. Times are Unix milliseconds of the store's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.sessions.model import Head, Session
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
    """A participant or token holder who makes a change. With a ``key``, a repeated change is applied once."""

    credential: Credential
    action: Action
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator who makes a change in the session with this ``instance``."""

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
    """A session to create. Durations are milliseconds.

    ``unjoined``: the shorter lifetime until the first join, if any. ``quarantine``: how long the code is not reused
    after the end. ``departed_ratings``: ``keep`` or ``drop`` the ratings of participants who leave.
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
    """A membership to continue.

    ``id``: the order of joining, unique in the session. ``epoch``, in which the connection was attached, and the
    participant's ``name`` are given if known.
    """

    id: int
    epoch: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A connection to attach, to a new participant or to that of the credential.

    ``newcomer``: the id of a new participant. ``recovery``: the id with which the connection can be continued; with
    ``recovering`` it has to be valid. ``second_connection``: the policy for a participant who is connected already.
    ``lease_renewed_at``: the last renewal of the replica's lease. ``with_session``: whether to return the session.
    ``observing``: attach the connection to no participant.
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
    with_session: bool = False
    observing: bool = False


@dataclass(frozen=True, slots=True)
class Attached:
    """A participant to whom a connection was attached, or an observer.

    ``free_at``: when the session's code becomes free. ``votes``: the participant's ratings by movie. ``session`` and
    ``extended``: the session with the participant, if it was asked for.
    """

    head: Head
    instance: str
    participant: str
    membership_id: int
    free_at: int
    name: str
    votes: dict[str, int]
    session: Session | None = None
    extended: Extended | None = None


@dataclass(frozen=True, slots=True)
class MoviesStored:
    """The version with the movies, the ids ``added``, and the ids ``present`` already."""

    version: int
    added: list[str]
    present: list[str]


@dataclass(frozen=True, slots=True)
class HostTokenGeneration:
    """The version, and the generation of the new host token."""

    version: int
    generation: int


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The host's changes: None keeps a value, an empty ``title`` removes it; ``lifetime`` is in milliseconds."""

    title: str | None = None
    capacity: int | None = None
    locked: bool | None = None
    lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """The number of removed participants, and when to look again (0: nobody is disconnected)."""

    removed: int
    next_due: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The store's time, and the session's expiry, deadline and lifetime (milliseconds)."""

    now: int
    expires_at: int
    deadline: int
    lifetime: int
