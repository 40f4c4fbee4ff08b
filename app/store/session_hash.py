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

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from app.sessions.model import Head, MovieEntry, ParticipantEntry, Session
from app.sessions.rating import Tally

__all__ = ["StoredSession", "parse_session"]


class StoredSession(NamedTuple):
    """The reply to HGETALL for a session, with its time of expiry and its head."""

    code: str
    fields: Mapping[bytes, bytes]
    expires_at: int
    head: Head


def parse_session(stored: StoredSession) -> Session:
    """Parse a stored session. A malformed one raises any of the errors of ``reading_reply``."""
    fields = {name.decode(): value.decode() for name, value in stored.fields.items()}
    participants, movies, removed = [], [], {}
    for name, value in fields.items():
        match name[:2]:
            case "p:":
                participants.append(_participant(name[2:], value, fields))
            case "m:":
                movies.append(_movie(name[2:], value, fields))
            case "k:":
                removed[name[2:]] = value
    participants.sort(key=lambda participant: participant.order)
    movies.sort(key=lambda movie: movie.order)
    return Session(
        code=stored.code,
        instance=fields["instance"],
        head=stored.head,
        created_at=int(fields["created"]),
        expires_at=stored.expires_at,
        deadline=int(fields["deadline"]),
        title=fields.get("title"),
        locked=fields["locked"] == "1",
        capacity=int(fields["capacity"]),
        host=fields.get("host"),
        participants={participant.id: participant for participant in participants},
        movies={movie.id: movie for movie in movies},
        removed=removed,
    )


def _participant(participant: str, entry: str, fields: dict[str, str]) -> ParticipantEntry:
    order, joined_at, name = entry.split("|", 2)
    connected = f"d:{participant}" not in fields
    return ParticipantEntry(participant, int(order), int(joined_at), name, connected, fields.get(f"o:{participant}"))


def _movie(movie: str, entry: str, fields: dict[str, str]) -> MovieEntry:
    order, added_at, adder, details = entry.split("|", 3)
    tally = Tally(*(int(number) for number in fields[f"t:{order}"].split(" ")))
    return MovieEntry(movie, int(order), int(added_at), adder or None, orjson.loads(details), tally)
