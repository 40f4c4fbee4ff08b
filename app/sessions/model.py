"""A session at one version, and its form for clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson

from app.sessions.answer_fields import DecideWhen, Phase, Reveal, Role
from app.sessions.answers import Meta, Participant, ParticipantPage, VersionMeta
from app.sessions.decision import DecisionEntry
from app.sessions.head import Head
from app.sessions.rating import Tally, ranking
from app.sessions.timestamps import timestamp

__all__ = ["MovieEntry", "Movies", "ParticipantEntry", "Participants", "Session", "Snapshot", "meta_at"]


@dataclass(frozen=True, slots=True)
class ParticipantEntry:
    """A participant. ``order`` is never reused in a session, so it also identifies the participant's stay."""

    id: str
    order: int
    joined_at: int
    name: str
    connected: bool
    rated: int = 0
    """How many movies the participant has rated, as far as that is shown."""
    owner: str | None = None
    """The connection that may act for the participant, if a new connection replaces an older one."""
    _encoded: dict[Role, bytes] = field(default_factory=dict, compare=False, repr=False)

    def shown(self, role: Role) -> Participant:
        """Return the participant as clients see it."""
        return {
            "id": self.id,
            "name": self.name,
            "role": role,
            "connected": self.connected,
            "joinedAt": timestamp(self.joined_at),
            "rated": self.rated,
        }

    def encoded(self, role: Role) -> bytes:
        """Return the participant as JSON."""
        if role not in self._encoded:
            self._encoded[role] = orjson.dumps(self.shown(role))
        return self._encoded[role]


@dataclass(frozen=True, slots=True)
class MovieEntry:
    """A movie on the list. ``details`` is the description given by the participant who added it.

    ``tally``: None while the ratings are hidden.
    """

    id: str
    order: int
    added_at: int
    added_by: str | None
    details: dict[str, Any]
    tally: Tally | None
    # The JSON up to the rank, once it was encoded: one vote changes the ranks of many movies.
    _encoded: list[bytes] = field(default_factory=list, compare=False, repr=False)

    def counted(self, tally: Tally | None) -> MovieEntry:
        """Return the movie with other ratings."""
        return MovieEntry(self.id, self.order, self.added_at, self.added_by, self.details, tally)

    def encoded(self, rank: int | None) -> bytes:
        """Return the movie as JSON; ``rank``: None while the ratings are hidden."""
        if not self._encoded:
            tally = self.tally
            shown = {
                **self.details,
                "addedBy": self.added_by,
                "addedAt": timestamp(self.added_at),
                "count": tally and tally.count,
                "vetoes": tally and tally.vetoes,
                "score": tally and tally.score,
                "compatibility": tally and tally.compatibility,
            }
            self._encoded.append(orjson.dumps(shown)[:-1] + b',"rank":')
        return b"%b%b}" % (self._encoded[0], b"null" if rank is None else b"%d" % rank)


class Participants(dict[str, ParticipantEntry]):
    """The participants of a session by id, in the order in which they joined. Not changed after it is made."""

    def first(self, count: int, host: str | None) -> Sequence[ParticipantEntry]:
        """Return the host and the first ones, so many together, in the order in which they joined."""
        if len(self) <= count:
            return self.in_order
        leading = self.in_order[:count]
        if host is None or host not in self or self[host].order <= leading[-1].order:
            return leading
        return (*leading[:-1], self[host])

    def encoded(self, count: int, host: str | None) -> bytes:
        """Return the ``first`` ones as the elements of a JSON array."""
        if (count, host) not in self._encoded:
            entries = self.first(count, host)
            self._encoded[count, host] = b",".join([entry.encoded(_role(entry, host)) for entry in entries])
        return self._encoded[count, host]

    @cached_property
    def in_order(self) -> tuple[ParticipantEntry, ...]:
        return tuple(self.values())

    @cached_property
    def _encoded(self) -> dict[tuple[int, str | None], bytes]:
        return {}


class Movies(dict[str, MovieEntry]):
    """The movies of a session by id, in the order in which they were added. Not changed after it is made."""

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The rank of each movie, from 1; of none while the ratings are hidden."""
        return ranking([(movie.id, movie.tally) for movie in self.values() if movie.tally is not None])

    @cached_property
    def encoded(self) -> bytes:
        """The movies as the elements of a JSON array."""
        ranks = self.ranks
        return b",".join([movie.encoded(ranks.get(movie.id)) for movie in self.values()])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a session for readers; ``data`` is its ``sessionData`` as JSON.

    ``guarded``: it is shown only to those in the session, because there is a passcode.
    """

    instance: str
    head: Head
    meta: VersionMeta
    data: bytes
    guarded: bool = False

    @property
    def shown_to_strangers(self) -> bytes:
        """``data``, without its movies and participants if the session is guarded."""
        if not self.guarded:
            return self.data
        return self.data.partition(b",")[0] + b',"movies":[],"participants":[]}'

    def expiring(self, at: int) -> Snapshot:
        """Return the same version with another time of expiry (Unix milliseconds)."""
        return replace(self, meta={**self.meta, "expiresAt": timestamp(at)})


@dataclass(frozen=True)
class Session:
    """One version of a session, read in one step. Times are Unix milliseconds of the store's clock."""

    code: str
    instance: str
    head: Head
    created_at: int
    expires_at: int
    deadline: int
    """The latest end of the session. Extensions do not go beyond it."""
    title: str | None
    locked: bool
    capacity: int
    host: str | None
    participants: Participants
    movies: Movies
    decision: DecisionEntry | None
    decide_at: int | None
    """When the decision comes, if anything will bring it by time."""
    decide_when: DecideWhen
    reveal: Reveal
    removed: dict[str, str]
    """Participants that were removed, with the reason: ``kicked`` or ``banned``."""
    max_listed: int
    """The maximum number of participants in the ``sessionData``. The others are only counted."""
    observers: int = 0
    """The number of people who only watch."""

    @cached_property
    def data(self) -> bytes:
        """The ``sessionData`` for clients as JSON, joined of what is encoded already."""
        return b'{"createdAt":"%b","movies":[%b],"participants":[%b]}' % (
            timestamp(self.created_at).encode(),
            self.movies.encoded,
            self.participants.encoded(self.max_listed, self.host),
        )

    @property
    def listed_participants(self) -> Sequence[ParticipantEntry]:
        """The participants in the ``sessionData``: the host and the first ones, in the order in which they joined."""
        return self.participants.first(self.max_listed, self.host)

    def page(self, after: int) -> ParticipantPage:
        """Return the participants who joined after the one of this order: at most as many as are listed."""
        later = [entry for entry in self.participants.in_order if entry.order > after]
        page = later[: self.max_listed]
        return {
            "participants": [entry.shown(self.role_of(entry)) for entry in page],
            "next": str(page[-1].order) if len(later) > len(page) else None,
        }

    def role_of(self, entry: ParticipantEntry) -> Role:
        return _role(entry, self.host)

    def has_people_of(self, before: Session) -> bool:
        """Return whether the participants are those of ``before``, connected or not."""
        return (
            before.head.epoch == self.head.epoch
            and before.participants is self.participants
            and before.removed is self.removed
        )

    def forget_encoded(self, newer: Session) -> None:
        """Free what was encoded of this version, but for what a newer one uses, too. It is encoded again if needed."""
        self.__dict__.pop("data", None)
        if self.movies is not newer.movies:
            self.movies.__dict__.pop("encoded", None)
            for movie in self.movies.values():
                if newer.movies.get(movie.id) is not movie:
                    movie._encoded.clear()
        if self.participants is not newer.participants:
            self.participants.__dict__.pop("_encoded", None)
            for entry in self.participants.values():
                if newer.participants.get(entry.id) is not entry:
                    entry._encoded.clear()

    @property
    def phase(self) -> Phase:
        return "voting" if self.decision is None else "decided"

    @cached_property
    def meta(self) -> VersionMeta:
        return {
            "sessionID": self.code,
            "epoch": self.head.epoch,
            "version": self.head.version,
            "title": self.title,
            "locked": self.locked,
            "capacity": self.capacity,
            "expiresAt": timestamp(self.expires_at),
            "people": len(self.participants),
            "observers": self.observers,
            "phase": self.phase,
            "decision": None if self.decision is None else self.decision.shown,
            "decideAt": None if self.decide_at is None else timestamp(self.decide_at),
            "decideWhen": self.decide_when,
            "reveal": self.reveal,
        }

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.instance, self.head, self.meta, self.data)


def meta_at(meta: VersionMeta, now: str) -> Meta:
    """Return the ``meta`` of a session with the store's time."""
    return {**meta, "now": now}


def _role(entry: ParticipantEntry, host: str | None) -> Role:
    return "host" if entry.id == host else "member"
