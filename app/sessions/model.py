"""A session as it stands at one version, and how clients see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

import orjson

from app.sessions.answers import Meta, Movie, Participant, Role, SessionData
from app.sessions.rating import Tally, ranking

__all__ = ["Head", "Member", "MovieEntry", "Session", "Snapshot", "timestamp"]


class Head(NamedTuple):
    """Where a session stands: ``version`` grows by one per commit; a new ``epoch`` says that commits were lost."""

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.version}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The head that ``<epoch>-<version>`` names; raises ``ValueError`` for anything else."""
        epoch, separator, version = text.rpartition("-")
        if not separator or not (version.isascii() and version.isdigit()):
            raise ValueError("not an offset")
        return cls(epoch, int(version))


@dataclass(frozen=True, slots=True)
class Member:
    """A participant. ``order`` is unique in the session and never given twice, so it also names the stay."""

    id: str
    order: int
    joined_at: int
    name: str
    connected: bool
    owner: str | None = None
    """The only connection that may act for the participant, where a newer connection replaces an older one."""


@dataclass(frozen=True, slots=True)
class MovieEntry:
    """A movie on the list. ``details`` is what its adder said of it, ready to be shown."""

    id: str
    order: int
    added_at: int
    added_by: str | None
    details: dict[str, Any]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a session as its readers get it: ``data`` is its ``sessionData`` as JSON."""

    instance: str
    head: Head
    meta: Meta
    data: bytes

    def expiring(self, at: int) -> Snapshot:
        """The same version, whose time of expiry (Unix milliseconds) has moved."""
        return replace(self, meta={**self.meta, "expiresAt": timestamp(at)})


@dataclass(frozen=True)
class Session:
    """One version of a session, read from the store in one step. Times are Unix milliseconds by the store's clock."""

    code: str
    instance: str
    head: Head
    created_at: int
    expires_at: int
    deadline: int
    """When the session ends at the latest, whatever extends it."""
    title: str | None
    locked: bool
    capacity: int
    host: str | None
    members: dict[str, Member]
    movies: dict[str, MovieEntry]
    removed: dict[str, str]
    """Why participants that are gone were told to go: ``kicked`` or ``banned``."""

    @cached_property
    def data(self) -> SessionData:
        ranks = ranking((movie.id, movie.tally) for movie in self.movies.values())
        return {
            "createdAt": timestamp(self.created_at),
            "movies": [self._movie(movie, ranks[movie.id]) for movie in self.movies.values()],
            "participants": [self._participant(member) for member in self.members.values()],
        }

    @property
    def meta(self) -> Meta:
        return {
            "sessionID": self.code,
            "epoch": self.head.epoch,
            "version": self.head.version,
            "title": self.title,
            "locked": self.locked,
            "capacity": self.capacity,
            "expiresAt": timestamp(self.expires_at),
        }

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.instance, self.head, self.meta, orjson.dumps(self.data))

    def _participant(self, member: Member) -> Participant:
        role: Role = "host" if member.id == self.host else "member"
        return {
            "id": member.id,
            "name": member.name,
            "role": role,
            "connected": member.connected,
            "joinedAt": timestamp(member.joined_at),
        }

    def _movie(self, movie: MovieEntry, rank: int) -> Movie:
        tally = movie.tally
        shown = {
            **movie.details,
            "addedBy": movie.added_by,
            "addedAt": timestamp(movie.added_at),
            "count": tally.count,
            "vetoes": tally.vetoes,
            "score": tally.score,
            "compatibility": tally.compatibility,
            "rank": rank,
        }
        return cast("Movie", shown)


def timestamp(milliseconds: int) -> str:
    """ISO 8601 in UTC with exactly three fraction digits and ``Z``, as JavaScript's ``toISOString`` writes it."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
