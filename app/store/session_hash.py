"""The hash of a session in Redis.

All numbers are decimal. All times are Unix milliseconds of Redis's clock.

- ``instance``: unique among all sessions; ``epoch``, ``version``: the head; ``created``, ``deadline``, ``lifetime``;
  ``unjoined``: the shorter lifetime until the first join, if any; ``rest``: how long the code stays reserved after the
  end; ``listed``: the time of expiry in ``js:sessions``
- ``title``, ``capacity``, ``locked`` (0, 1), ``leavers`` (keep, drop)
- ``host``: the host's id; ``generation``: of the valid host token; ``tokenholder``: the participant who has used it
- ``order``, ``guests``, ``people``, ``films``, ``bytes``: counters; ``peak``: the maximum of ``people`` so far
- ``p:<participant>``: ``<order>|<joined>|<name>``; ``d:<participant>``: it is disconnected and will be removed at this
  time; ``o:<participant>``: its only connection; ``k:<participant>``: the reason why it was removed, for all banned
  participants (``bans`` is their number) and the newest ``told`` of the others; ``l:<participant>``: the name of one
  whose grace time is over, written by replicas of an earlier release
- ``lost``: ``<epoch> <order>`` of the newest epochs that have ended: participants who joined later in one are unknown
- ``m:<movie>``: ``<order>|<added>|<adder>|<details as JSON>``; ``t:<order>``: ``<count> <vetoes> <points>``
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple, TypeVar

import orjson

from app.sessions.model import Head, MovieEntry, ParticipantEntry, Session
from app.sessions.rating import Tally

__all__ = ["SessionParser", "StoredSession"]

E = TypeVar("E", MovieEntry, ParticipantEntry)


class StoredSession(NamedTuple):
    """The reply to HGETALL for a session, with its time of expiry and its head."""

    code: str
    fields: Mapping[bytes, bytes]
    expires_at: int
    head: Head


class SessionParser:
    """Parses versions of one session. Entries that have not changed are the same objects, with what they keep."""

    __slots__ = ("_movies", "_participants")

    def __init__(self) -> None:
        self._participants: dict[bytes, _ParsedParticipant] = {}
        self._movies: dict[bytes, _ParsedMovie] = {}

    def parse(self, stored: StoredSession) -> Session:
        """Parse a stored session. A malformed one raises any of the errors of ``reading_reply``."""
        fields = stored.fields
        participants: dict[bytes, _ParsedParticipant] = {}
        movies: dict[bytes, _ParsedMovie] = {}
        removed = {}
        for name, value in fields.items():
            kind = name[:2]
            if kind == b"p:":
                participants[name] = _participant(name, value, fields, self._participants.get(name))
            elif kind == b"m:":
                movies[name] = _movie(name, value, fields, self._movies.get(name))
            elif kind == b"k:":
                removed[name[2:].decode()] = value.decode()
        self._participants, self._movies = participants, movies
        title, host = fields.get(b"title"), fields.get(b"host")
        return Session(
            code=stored.code,
            instance=fields[b"instance"].decode(),
            head=stored.head,
            created_at=int(fields[b"created"]),
            expires_at=stored.expires_at,
            deadline=int(fields[b"deadline"]),
            title=None if title is None else title.decode(),
            locked=fields[b"locked"] == b"1",
            capacity=int(fields[b"capacity"]),
            host=None if host is None else host.decode(),
            participants={entry.id: entry for entry in _ordered(each.entry for each in participants.values())},
            movies={entry.id: entry for entry in _ordered(each.entry for each in movies.values())},
            removed=removed,
        )


class _ParsedParticipant(NamedTuple):
    stored: bytes
    owner: bytes | None
    entry: ParticipantEntry


class _ParsedMovie(NamedTuple):
    stored: bytes
    tally: bytes
    entry: MovieEntry


def _participant(
    name: bytes, value: bytes, fields: Mapping[bytes, bytes], earlier: _ParsedParticipant | None
) -> _ParsedParticipant:
    own = name[2:]
    connected, owner = b"d:" + own not in fields, fields.get(b"o:" + own)
    if earlier and earlier.stored == value and earlier.owner == owner and earlier.entry.connected == connected:
        return earlier
    order, joined_at, shown = value.decode().split("|", 2)
    owned_by = None if owner is None else owner.decode()
    entry = ParticipantEntry(own.decode(), int(order), int(joined_at), shown, connected, owned_by)
    return _ParsedParticipant(value, owner, entry)


def _movie(name: bytes, value: bytes, fields: Mapping[bytes, bytes], earlier: _ParsedMovie | None) -> _ParsedMovie:
    tally = fields[b"t:" + value[: value.index(b"|")]]
    if earlier and earlier.stored == value:
        if earlier.tally == tally:
            return earlier
        entry = earlier.entry
        order, added_at, added_by, details = entry.order, entry.added_at, entry.added_by, entry.details
    else:
        words = value.decode().split("|", 3)
        order, added_at, added_by, details = int(words[0]), int(words[1]), words[2] or None, orjson.loads(words[3])
    counted = Tally(*map(int, tally.split(b" ")))
    return _ParsedMovie(value, tally, MovieEntry(name[2:].decode(), order, added_at, added_by, details, counted))


def _ordered(entries: Iterable[E]) -> list[E]:
    return sorted(entries, key=attrgetter("order"))
