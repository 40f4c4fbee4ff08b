"""The interfaces that the service needs: the store of sessions, and the counters of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.sessions.answer_fields import Clearing
from app.sessions.answers import SessionSummary
from app.sessions.head import Head
from app.sessions.model import Session, Snapshot
from app.sessions.steps import (
    Attached,
    Attachment,
    Author,
    Commit,
    DecisionStored,
    HostTokenGeneration,
    MoviesStored,
    NewMovie,
    NewSession,
    Removal,
    SessionSettings,
)

__all__ = [
    "Budgets",
    "Creators",
    "Guessed",
    "ListedSessions",
    "Place",
    "Reserved",
    "SessionListing",
    "SessionStore",
    "Usage",
]


class SessionStore(Protocol):
    """Sessions in Redis.

    The methods raise ``SessionError``: ``unavailable`` if nothing was changed, ``outcome-unknown`` if it is unknown
    whether something was changed, and the errors of the scripts.
    """

    def now(self) -> int:
        """Return the time of the store's clock, as far as it is known here."""

    async def read(self, code: str) -> Session | None:
        """Return the newest version, None if there is no such session."""

    async def snapshot(self, code: str) -> Snapshot | None:
        """Return the newest version for reading, None if there is no such session.

        This is cheaper than ``read`` if the session was read recently and has not changed since.
        """

    async def head(self, code: str) -> Head | None:
        """Return the head of a session, None if there is none. This is cheaper than reading it."""

    async def instance(self, code: str) -> str | None:
        """Return the instance of the session under a code, None if there is none."""

    async def passcode(self, code: str) -> str | None:
        """Return the hash of a session's passcode, None if there is none."""

    async def create(self, instances: Mapping[str, str], session: NewSession) -> str | None:
        """Create a session under the first free code; return the code, or None if all are taken.

        ``instances``: the session's instance for each code. If a session with that instance exists already, its code is
        returned.
        """

    async def attach(self, code: str, attachment: Attachment) -> Attached:
        """Attach a connection to a participant: a new one, one that returns, or one that is present."""

    async def detach(self, code: str, connections: Mapping[str, str | None], *, grace: int) -> int:
        """Detach connections, each with its recovery id if that becomes void; ``grace`` is in milliseconds.

        Return when to look for participants to remove, in Unix milliseconds, 0 if all have other connections.
        """

    async def stop_observing(self, code: str, connection: str, recovery: str) -> Commit:
        """Detach an observer's connection and void its recovery id."""

    async def authorize(self, code: str, author: Author) -> None:
        """Do nothing if ``author`` has the permission; raise ``forbidden`` and the like if not."""

    async def leave(self, code: str, author: Author, *, connection: str, recovery: str) -> Commit:
        """Remove the participant of a connection, unless it has another connection.

        This and the following methods return the commit of the change.
        """

    async def remove_participant(self, code: str, author: Author, participant: str, reason: Removal) -> Commit:
        """Remove a participant with all its connections."""

    async def add_movies(
        self, code: str, author: Author, movies: Sequence[NewMovie], *, max_movies: int, max_bytes: int
    ) -> MoviesStored:
        """Add movies, all or none; movies that are on the list already stay unchanged."""

    async def remove_movie(self, code: str, author: Author, movie: str) -> Commit:
        """Remove a movie with its ratings."""

    async def vote(
        self, code: str, author: Author, movie: str, rating: int, *, max_movies: int, connection: str | None
    ) -> Commit:
        """Rate a movie, change the rating, or withdraw it (rating 0).

        ``connection``: the one that asks, which need not be told the participant's ratings.
        """

    async def rename_participant(self, code: str, author: Author, participant: str | None, name: str) -> Commit:
        """Rename the author. ``participant``, if given, has to be the author's id."""

    async def update_session(self, code: str, author: Author, settings: SessionSettings) -> Commit:
        """Change the settings of a session."""

    async def transfer_host(self, code: str, author: Author, participant: str) -> Commit:
        """Make another participant the host."""

    async def rotate_host_token(self, code: str, author: Author) -> HostTokenGeneration:
        """Replace the host token by a new one."""

    async def decide(self, code: str, author: Author, movie: str | None) -> DecisionStored:
        """Decide for a movie, or for the first of the ranking."""

    async def reopen(self, code: str, author: Author, clear: Clearing | None) -> Commit:
        """Take the decision back, and with ``clear`` the ratings, or the movies with them."""

    async def end_session(self, code: str, author: Author) -> Commit:
        """End the session."""

    async def count(self) -> int:
        """Return the number of live sessions."""


class Creators(Protocol):
    """The live sessions created by each client address, and the plans of those that are being created.

    Addresses are stored as hashes. ``seed``: the beginning of a session's instance. ``size``: the bytes of the movies
    given at creation.
    """

    async def claim(self, address: str, seed: str, size: int, *, most: int, most_bytes: int) -> bool:
        """Take a place for a session that is about to be created, once per seed; False if none is left."""

    async def made(self, address: str, seed: str, size: int, code: str) -> None:
        """Note that the session was created: its place is taken as long as the session lives."""

    async def claim_plan(self, digest: str, plan: str) -> str:
        """Store a plan for an idempotency key of ``create``, unless there is one; return the stored plan."""

    async def replace_plan(self, digest: str, plan: str) -> None:
        """Replace the stored plan."""


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a session in the list: its time of expiry there, in Unix milliseconds, and its code."""

    expiry: int
    code: str


@dataclass(frozen=True, slots=True)
class ListedSessions:
    """A page of the list, and the place after which the next page begins, None at the end."""

    sessions: list[SessionSummary]
    behind: Place | None


class SessionListing(Protocol):
    """The live sessions in the order of their expiry."""

    async def page(self, behind: Place | None, limit: int) -> ListedSessions:
        """Return at most ``limit`` sessions after a place, or the first ones."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How often an address did something in the current minute, and the seconds left of it."""

    times: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Reserved:
    """The number of look-ups of an address that were counted.

    ``misses`` and ``under_way`` are the counts before, of the address and of the deployment. ``seconds_left``: of the
    minute of the address's misses.
    """

    counted: int
    misses: int
    under_way: int
    total_misses: int
    total_under_way: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Guessed:
    """Whether a guess at a passcode was counted, beside the wrong ones of the minute; ``seconds_left`` are of that."""

    counted: bool
    wrong: int
    seconds_left: float


class Budgets(Protocol):
    """Counters by client address, shared by all replicas. Addresses are stored as hashes.

    Guesses at passcodes are counted for whoever is named: an address, or a session.
    """

    async def reserve(self, address: str, look_ups: Sequence[str], most: int) -> Reserved:
        """Count look-ups that are about to be made, given by unique ids: as many as fit into ``most``."""

    async def settle(self, address: str, look_ups: Sequence[str], *, missed: bool = False) -> None:
        """Return look-ups, counted or not, to the budget; with ``missed`` count a miss instead."""

    async def add_create(self, address: str) -> Usage:
        """Count a created session."""

    async def add_wrong_key(self, address: str) -> Usage:
        """Count a wrong create key or operators' token."""

    async def add_passcode(self, code: str) -> Usage:
        """Count another passcode of a session."""

    async def reserve_guess(self, whose: str, guess: str, most: int) -> Guessed:
        """Count a guess that is about to be made, given by a unique id, if it fits into ``most``."""

    async def settle_guess(self, whose: str, guess: str, *, wrong: bool = False) -> None:
        """Give a guess back, counted or not; count a wrong one instead."""

    async def total_misses(self) -> int:
        """Return the number of failed look-ups of all addresses."""

    async def forgive(self, address: str) -> None:
        """Reset the counters of an address."""
