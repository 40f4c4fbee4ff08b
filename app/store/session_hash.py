"""The hash of a session in Redis.

All numbers are decimal. All times are Unix milliseconds of Redis's clock.

- ``instance``: unique among all sessions; ``epoch``, ``version``: the head; ``created``, ``deadline``, ``lifetime``;
  ``unjoined``: the shorter lifetime until the first join, if any; ``rest``: how long the code stays reserved after the
  end; ``listed``: the time of expiry in ``js:sessions``; ``heard``: the last one that was announced without a change
- ``passcode``: its hash, if there is one (``app/sessions/passcodes.py``)
- ``title``, ``capacity``, ``locked`` (0, 1), ``leavers`` (keep, drop); ``observers``: how many people only watch
- ``host``: the host's id; ``generation``: of the valid host token; ``tokenholder``: the participant who has used it
- ``order``, ``guests``, ``people``, ``films``, ``bytes``: counters; ``peak``: the maximum of ``people`` so far
- ``reveal``: ``decided``, if the ratings are hidden until the decision; ``when``: ``all-rated``, if it comes once
  everybody has rated each movie, ``delay`` milliseconds later; ``timer``: when it comes in any case; ``ready``: when it
  comes because everybody has; ``decision``: as JSON, see ``decision_entry``
- ``v:<participant>``: how many of the listed movies the participant has rated, if any; ``done``: how many participants
  have rated all
- ``p:<participant>``: ``<order>|<joined>|<name>``; ``d:<participant>``: it is disconnected and will be removed at this
  time; ``o:<participant>``: its only connection; ``k:<participant>``: the reason why it was removed, for all banned
  participants (``bans`` is their number) and the newest ``told`` of the others; ``l:<participant>``: the name of one
  whose grace time is over, written by replicas of an earlier release
- ``lost``: ``<epoch> <order>`` of the newest epochs that have ended: participants who joined later in one are unknown
- ``m:<movie>``: ``<order>|<added>|<adder>|<details as JSON>``; ``t:<order>``: ``<count> <vetoes> <points>``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from app.sessions.decision import DecisionEntry
from app.sessions.head import Head
from app.sessions.model import MovieEntry, ParticipantEntry
from app.sessions.rating import Tally

__all__ = [
    "StoredSession",
    "are_ratings_hidden",
    "decision_entry",
    "is_mirrored",
    "movie_entry",
    "participant_entry",
    "rated_by",
    "tally_of",
]

_MIRRORED: Final = frozenset(
    {
        b"capacity",
        b"created",
        b"deadline",
        b"decision",
        b"host",
        b"instance",
        b"locked",
        b"observers",
        b"ready",
        b"reveal",
        b"timer",
        b"title",
        b"when",
    }
)
_MIRRORED_KINDS: Final = frozenset({b"d:", b"k:", b"m:", b"o:", b"p:", b"t:", b"v:"})


class StoredSession(NamedTuple):
    """The reply to HGETALL for a session, with its time of expiry and its head."""

    code: str
    fields: Mapping[bytes, bytes]
    expires_at: int
    head: Head


def is_mirrored(name: bytes) -> bool:
    """Return whether a ``Session`` is made of this field; ``_prelude.lua`` has the list of those that change."""
    return name[:2] in _MIRRORED_KINDS or name in _MIRRORED


def are_ratings_hidden(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether ratings are not shown before the decision, and that has not been made."""
    return b"reveal" in fields and b"decision" not in fields


def participant_entry(participant: bytes, fields: Mapping[bytes, bytes], movies: int) -> ParticipantEntry | None:
    """Parse a participant of a session with so many movies; None if there is none.

    A malformed one raises any of the errors of ``reading_reply``.
    """
    stored = fields.get(b"p:" + participant)
    if stored is None:
        return None
    order, joined_at, name = stored.decode().split("|", 2)
    owner = fields.get(b"o:" + participant)
    return ParticipantEntry(
        id=participant.decode(),
        order=int(order),
        joined_at=int(joined_at),
        name=name,
        connected=b"d:" + participant not in fields,
        rated=rated_by(participant, fields, movies),
        owner=None if owner is None else owner.decode(),
    )


def rated_by(participant: bytes, fields: Mapping[bytes, bytes], movies: int) -> int:
    """Return how many movies a participant has rated, as far as that is shown.

    Where the ratings are shown as they are made, it would tell who has made one.
    """
    rated = min(int(fields.get(b"v:" + participant, 0)), movies)
    return rated if b"reveal" in fields or rated == movies else 0


def movie_entry(movie: bytes, fields: Mapping[bytes, bytes]) -> MovieEntry | None:
    """Parse a movie with its tally; None if there is none. A malformed one raises as a participant does."""
    stored = fields.get(b"m:" + movie)
    if stored is None:
        return None
    order, added_at, added_by, details = stored.decode().split("|", 3)
    return MovieEntry(
        id=movie.decode(),
        order=int(order),
        added_at=int(added_at),
        added_by=added_by or None,
        details=orjson.loads(details),
        tally=tally_of(int(order), fields),
    )


def decision_entry(stored: bytes) -> DecisionEntry:
    """Parse a decision: ``{"movie", "by", "at", "epoch", "version", "tied": [movie, ...] or missing, "ranking"}``.

    The ranking has ``[movie, count, vetoes, points]`` for each. A malformed one raises as a participant does.
    """
    told = orjson.loads(stored)
    return DecisionEntry(
        movie=told["movie"],
        by=told["by"],
        tied=tuple(told.get("tied", ())),
        decided_at=int(told["at"]),
        head=Head(told["epoch"], int(told["version"])),
        ranking={movie: Tally(*map(int, tally)) for movie, *tally in told["ranking"]},
    )


def tally_of(order: int, fields: Mapping[bytes, bytes]) -> Tally | None:
    """Parse the tally of the movie that was added at this order; None while the ratings are hidden."""
    if are_ratings_hidden(fields):
        return None
    return Tally(*map(int, fields[b"t:%d" % order].split(b" ")))
