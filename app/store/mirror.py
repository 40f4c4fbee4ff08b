"""One session as a replica knows it: what it has read, and the changes that were announced since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Final, TypeVar

from app.sessions.decision import DecisionEntry
from app.sessions.head import Head
from app.sessions.model import MovieEntry, Movies, ParticipantEntry, Participants, Session
from app.store.session_hash import (
    StoredSession,
    are_ratings_hidden,
    decision_entry,
    is_mirrored,
    movie_entry,
    participant_entry,
    rated_by,
    tally_of,
)

__all__ = ["SessionMirror"]

E = TypeVar("E", MovieEntry, ParticipantEntry)

_ENTRY_KINDS: Final = frozenset({b"d:", b"o:", b"p:"})


class SessionMirror:
    """The fields of one session at one version, and the ``Session`` that is made of them.

    Only entries of which a field changes are parsed again. The others are the same objects in each version, with what
    they keep; so are ``participants`` and ``movies`` where none of them has changed. A malformed field raises any of
    the errors of ``reading_reply``; nothing is known of the session then, until it is read.
    """

    __slots__ = (
        "_code",
        "_decision",
        "_fields",
        "_hidden",
        "_max_listed",
        "_movies",
        "_participants",
        "_removed",
        "session",
    )

    def __init__(self, code: str, max_listed: int) -> None:
        self._code = code
        self._max_listed = max_listed
        self.session: Session | None = None
        """The newest known version."""
        self._forget()

    def read(self, stored: StoredSession) -> Session:
        """Take a stored session over, unless a later version is known; return the newest."""
        known = self.session
        if known is None:
            self._forget()
        elif known.head != stored.head and known.head.includes(stored.head):
            return known
        fields = {name: value for name, value in stored.fields.items() if is_mirrored(name)}
        changed = {name: fields.get(name) for name, _ in self._fields.items() ^ fields.items()}
        return self._take(stored.head, stored.expires_at, changed)

    def apply(self, head: Head, expires_at: int | None, changes: Mapping[bytes, bytes | None] | None) -> bool:
        """Take the announced changes of the next version over. Return False if the session has to be read.

        Versions that are known are passed over. Those of another epoch, those after a gap, and one of which the changes
        were not announced are not applied.
        """
        if self.session is None or head.epoch != self.session.head.epoch:
            return False
        known = self.session.head.version
        if head.version <= known:
            return True
        if head.version != known + 1 or changes is None or expires_at is None:
            return False
        self._take(head, expires_at, changes)
        return True

    def extend(self, expires_at: int) -> None:
        """Note another time of expiry (Unix milliseconds)."""
        if self.session is not None:
            self.session = replace(self.session, expires_at=expires_at)

    def _forget(self) -> None:
        self._fields: dict[bytes, bytes] = {}
        self._participants = Participants()
        self._movies = Movies()
        self._removed: dict[str, str] = {}
        self._decision: DecisionEntry | None = None
        self._hidden = False

    def _take(self, head: Head, expires_at: int, changes: Mapping[bytes, bytes | None]) -> Session:
        # Until all is parsed without an error.
        self.session = None
        fields = self._fields
        for name, value in changes.items():
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
        self._parse_entries(changes)
        if b"decision" in changes:
            decision = fields.get(b"decision")
            self._decision = None if decision is None else decision_entry(decision)
        title, host = fields.get(b"title"), fields.get(b"host")
        times = [int(fields[name]) for name in (b"timer", b"ready") if name in fields]
        self.session = Session(
            code=self._code,
            instance=fields[b"instance"].decode(),
            head=head,
            created_at=int(fields[b"created"]),
            expires_at=expires_at,
            deadline=int(fields[b"deadline"]),
            title=None if title is None else title.decode(),
            locked=fields[b"locked"] == b"1",
            capacity=int(fields[b"capacity"]),
            host=None if host is None else host.decode(),
            participants=self._participants,
            movies=self._movies,
            decision=self._decision,
            decide_at=min(times, default=None),
            decide_when="all-rated" if b"when" in fields else "host",
            reveal="decided" if b"reveal" in fields else "live",
            removed=self._removed,
            max_listed=self._max_listed,
            observers=int(fields.get(b"observers", 0)),
        )
        return self.session

    def _parse_entries(self, changed: Collection[bytes]) -> None:
        """Parse what changed fields are parts of."""
        kinds = {name[:2] for name in changed}
        if b"m:" in kinds:
            self._parse_movies({name[2:] for name in changed if name[:2] == b"m:"})
        hidden = are_ratings_hidden(self._fields)
        if hidden is not self._hidden:
            self._hidden = hidden
            self._count({entry.order for entry in self._movies.values()})
        elif b"t:" in kinds and not hidden:
            self._count({int(name[2:]) for name in changed if name[:2] == b"t:"})
        if not _ENTRY_KINDS.isdisjoint(kinds):
            self._parse_participants({name[2:] for name in changed if name[:2] in _ENTRY_KINDS})
        if b"m:" in kinds or b"reveal" in changed:
            self._note_rated(name.encode() for name in self._participants)
        elif b"v:" in kinds:
            self._note_rated(name[2:] for name in changed if name[:2] == b"v:")
        if b"k:" in kinds:
            self._removed = {name[2:].decode(): why.decode() for name, why in self._fields.items() if name[:2] == b"k:"}

    def _parse_participants(self, changed: Iterable[bytes]) -> None:
        entries = dict(self._participants)
        for participant in changed:
            _put(entries, participant.decode(), participant_entry(participant, self._fields, len(self._movies)))
        self._participants = Participants(_ordered(entries))

    def _note_rated(self, participants: Iterable[bytes]) -> None:
        """Take over how much these participants have rated, of which most changes are not shown."""
        other: dict[str, ParticipantEntry] = {}
        for participant in participants:
            entry = self._participants.get(participant.decode())
            if entry is None:
                continue
            rated = rated_by(participant, self._fields, len(self._movies))
            if rated != entry.rated:
                other[entry.id] = replace(entry, rated=rated, _encoded={})
        if other:
            self._participants = Participants({**self._participants, **other})

    def _parse_movies(self, changed: Iterable[bytes]) -> None:
        entries = dict(self._movies)
        for movie in changed:
            _put(entries, movie.decode(), movie_entry(movie, self._fields))
        self._movies = Movies(_ordered(entries))

    def _count(self, orders: set[int]) -> None:
        counted = {
            entry.id: entry.counted(tally_of(entry.order, self._fields))
            for entry in self._movies.values()
            if entry.order in orders
        }
        self._movies = Movies({**self._movies, **counted})


def _put(entries: dict[str, E], name: str, entry: E | None) -> None:
    if entry is None:
        entries.pop(name, None)
    else:
        entries[name] = entry


def _ordered(entries: Mapping[str, E]) -> dict[str, E]:
    return {entry.id: entry for entry in sorted(entries.values(), key=attrgetter("order"))}
