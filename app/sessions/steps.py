"""Arguments and results of the atomic steps of a session. Times are Unix milliseconds of the store's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.sessions.answer_fields import DecideWhen, Reveal
from app.sessions.answers import Done
from app.sessions.decision import DecisionEntry
from app.sessions.head import Head
from app.sessions.model import Session
from app.sessions.permissions import Action
from app.sessions.timestamps import timestamp
from app.sessions.tokens import Credential

__all__ = [
    "Attached",
    "Attachment",
    "Author",
    "Commit",
    "DecisionStored",
    "Extended",
    "HostTokenGeneration",
    "MoviesStored",
    "NewMovie",
    "NewPasscode",
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
    after the end. ``departed_ratings``: ``keep`` or ``drop`` the ratings of participants who leave. ``timer``: from the
    creation to the decision, if it comes by time. ``decide_delay``: from the last rating of all to the decision.
    ``passcode`` is its hash.
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
    decide_when: DecideWhen = "host"
    decide_delay: int = 0
    timer: int | None = None
    reveal: Reveal = "live"
    passcode: str | None = None


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
    ``observing``: attach the connection to no participant. ``proved``: the hash of the passcode that was shown.
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
    proved: str | None = None


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
class Commit:
    """The session's ``version`` with a change, and the time ``at`` which the change was made."""

    version: int
    at: int

    @property
    def done(self) -> Done:
        """The acknowledgement of the change."""
        return {"ok": True, "version": self.version, "now": timestamp(self.at)}


@dataclass(frozen=True, slots=True)
class MoviesStored(Commit):
    """A commit with the ids of movies ``added``, and those ``present`` already."""

    added: list[str]
    present: list[str]


@dataclass(frozen=True, slots=True)
class DecisionStored(Commit):
    """A commit with a decision."""

    decision: DecisionEntry


@dataclass(frozen=True, slots=True)
class HostTokenGeneration(Commit):
    """A commit with the generation of the new host token."""

    generation: int


@dataclass(frozen=True, slots=True)
class NewPasscode:
    """A passcode to set. ``hash``: what is stored, empty to remove the passcode.

    ``digests`` tell whether it is the same again, the first is that of the current secret.
    """

    hash: str
    digests: Sequence[str] = ("",)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The host's changes: None keeps a value, an empty ``title`` and a ``timer`` of 0 remove it.

    ``lifetime``, ``timer`` and ``decide_delay`` are in milliseconds.
    """

    title: str | None = None
    capacity: int | None = None
    locked: bool | None = None
    lifetime: int | None = None
    timer: int | None = None
    decide_when: DecideWhen | None = None
    decide_delay: int | None = None
    reveal: Reveal | None = None
    passcode: NewPasscode | None = None


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
