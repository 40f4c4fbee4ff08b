"""What the service needs of the outside: the truth about sessions, and the budgets of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.sessions.answers import SessionSummary
from app.sessions.model import Head, Session, Snapshot
from app.sessions.steps import (
    Attached,
    Attachment,
    Author,
    HostTokenGeneration,
    MoviesStored,
    NewMovie,
    NewSession,
    Removal,
    SessionSettings,
)

__all__ = ["Budgets", "Creators", "ListedSessions", "Place", "Reserved", "SessionListing", "SessionStore", "Usage"]


class SessionStore(Protocol):
    """Sessions in Redis.

    All methods raise ``SessionError``: ``unavailable`` when nothing was changed for certain, ``outcome-unknown`` when
    it is not known whether it was, and what the scripts refuse.
    """

    async def read(self, code: str) -> Session | None:
        """The newest version, None when there is no such session."""

    async def snapshot(self, code: str) -> Snapshot | None:
        """The newest version for reading, None when there is no such session.

        This is less work than ``read``, if that was done lately and nothing has changed since.
        """

    async def head(self, code: str) -> Head | None:
        """Where a session stands, None when there is none: less than to read it."""

    async def instance(self, code: str) -> str | None:
        """The instance of the session under a code, None when there is none: less than to read it."""

    async def create(self, instances: Mapping[str, str], session: NewSession) -> str | None:
        """Makes a session under the first code that is free; the code, or None when all are taken.

        ``instances``: what the session's instance is under each code. Where the session of that instance exists under
        one of them, that is the one.
        """

    async def attach(self, code: str, attachment: Attachment) -> Attached:
        """Attaches a connection to a participant, who joins, comes back or is in the session already."""

    async def detach(self, code: str, connections: Mapping[str, str | None], *, grace: int) -> int:
        """Takes connections away, each with its recovery id if that is void from now on; ``grace`` in milliseconds.

        Returns when to look for participants to remove, in Unix milliseconds, 0 where nobody is left without one.
        """

    async def authorize(self, code: str, author: Author) -> None:
        """Does nothing for those who may do what ``author`` says."""

    async def leave(self, code: str, author: Author, *, connection: str, recovery: str) -> int:
        """Removes the participant of a connection, unless it has another one.

        This and the next ones return the session's version with the change.
        """

    async def remove_participant(self, code: str, author: Author, participant: str, reason: Removal) -> int:
        """Removes a participant with all its connections."""

    async def add_movies(
        self, code: str, author: Author, movies: Sequence[NewMovie], *, max_movies: int, max_bytes: int
    ) -> MoviesStored:
        """Adds movies, all or none; those that are on the list already stay as they are."""

    async def remove_movie(self, code: str, author: Author, movie: str) -> int:
        """Removes a movie with its ratings."""

    async def vote(self, code: str, author: Author, movie: str, rating: int, *, max_movies: int) -> int:
        """Rates a movie, changes the rating, or withdraws it (rating 0)."""

    async def rename_participant(self, code: str, author: Author, participant: str | None, name: str) -> int:
        """Gives the author another name, who has to be that participant if it is given."""

    async def update_session(self, code: str, author: Author, settings: SessionSettings) -> int:
        """Changes what the host may change."""

    async def transfer_host(self, code: str, author: Author, participant: str) -> int:
        """Makes another participant the host."""

    async def rotate_host_token(self, code: str, author: Author) -> HostTokenGeneration:
        """Makes a new host token valid instead of the current one."""

    async def end_session(self, code: str, author: Author) -> int:
        """Ends the session."""

    async def count(self) -> int:
        """How many sessions are live."""

    async def claim_creation(self, digest: str, plan: str) -> str:
        """The plan that was the first to be claimed for an idempotency key of ``create``: ours or an earlier one."""

    async def remember_creation(self, digest: str, plan: str) -> None:
        """Replaces the plan that was claimed."""


class Creators(Protocol):
    """The live sessions of those who create them, by client address.

    ``address`` is never stored in clear; ``seed`` is what a session's instance begins with, ``size`` the bytes of the
    movies that it was given.
    """

    async def claim(self, address: str, seed: str, size: int, *, most: int, most_bytes: int) -> bool:
        """Takes a place for a session that is about to be made, once for each seed; false where there is none."""

    async def made(self, address: str, seed: str, size: int, code: str) -> None:
        """The session was made, so its place is taken as long as it lives."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is in the list: its time of expiry in Unix milliseconds, as the list knows it, and its code."""

    expiry: int
    code: str


@dataclass(frozen=True, slots=True)
class ListedSessions:
    """A part of the list, and the place to go on behind, None at the end."""

    sessions: list[SessionSummary]
    behind: Place | None


class SessionListing(Protocol):
    """The live sessions in the order in which they expire."""

    async def page(self, behind: Place | None, limit: int) -> ListedSessions:
        """At most ``limit`` sessions behind a place, or the first ones."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How often an address did something within a minute, and what is left of the minute."""

    times: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Reserved:
    """How many look-ups of an address are counted now.

    ``misses`` and ``under_way`` are what was counted before, of the address and of everybody; ``seconds_left`` of the
    minute of its misses.
    """

    counted: int
    misses: int
    under_way: int
    total_misses: int
    total_under_way: int
    seconds_left: float


class Budgets(Protocol):
    """Counters by client address that all replicas share. ``address`` is never stored in clear."""

    async def reserve(self, address: str, look_ups: Sequence[str], most: int) -> Reserved:
        """Counts look-ups that are about to be made, by ids of their own: the first that fit into ``most``."""

    async def settle(self, address: str, look_ups: Sequence[str], *, missed: bool = False) -> None:
        """Gives look-ups back, also such that were not counted; a miss is counted in their stead."""

    async def add_create(self, address: str) -> Usage:
        """Counts a session created."""

    async def add_wrong_key(self, address: str) -> Usage:
        """Counts a wrong key of operators, or of those who create sessions."""

    async def total_misses(self) -> int:
        """Failed look-ups of everybody so far."""

    async def forgive(self, address: str) -> None:
        """Forgets what was counted for an address."""
