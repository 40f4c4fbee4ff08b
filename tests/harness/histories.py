"""Histories of a session, for Hypothesis: its versions one after another, each made from the one before.

As in the service, entries that a change does not touch stay the same objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from app.sessions.head import Head
from app.sessions.model import MovieEntry, Movies, ParticipantEntry, Participants, Session
from app.sessions.rating import Tally

__all__ = ["EMPTY", "HISTORIES", "with_movies", "with_participants"]

E = TypeVar("E", MovieEntry, ParticipantEntry)
Change = tuple[str, int, int]

EMPTY: Final = Session(
    code="123456",
    instance="i",
    head=Head("fedcba987654321", 1),
    created_at=1_769_083_200_000,
    expires_at=1_769_083_300_000,
    deadline=1_769_183_200_000,
    title=None,
    locked=False,
    capacity=100,
    host=None,
    participants=Participants(),
    max_listed=200,
    movies=Movies(),
    decision=None,
    decide_at=None,
    decide_when="host",
    reveal="live",
    removed={},
)
CHANGES: Final = (
    *("add-movie", "remove-movie", "vote", "describe"),
    *("join", "restore", "leave", "rename", "drop", "replace-connection", "transfer-host"),
)
TITLES: Final = ("Up", 'W|all"E/~0~1', "Čas 🎬", "A" * 200)
DETAILS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"year": 1979},
    {"year": 1986, "overview": "In space.\n", "genres": ["Horror", "Science Fiction"]},
    {"posterUrl": "https://images.example/a.jpg", "genres": []},
)


def with_movies(session: Session, *entries: MovieEntry) -> Session:
    """Return the session with these movies added, or in the place of those with their ids."""
    movies = session.movies | {entry.id: entry for entry in entries}
    return replace(session, movies=Movies(_ordered(movies)))


def with_participants(session: Session, *entries: ParticipantEntry) -> Session:
    people = session.participants | {entry.id: entry for entry in entries}
    return replace(session, participants=Participants(_ordered(people)))


def _history(steps: Sequence[Sequence[Change]], max_listed: int) -> list[Session]:
    versions = [replace(EMPTY, max_listed=max_listed)]
    order = 0
    for number, changes in enumerate(steps, start=2):
        session = replace(versions[-1], head=Head(EMPTY.head.epoch, number))
        for kind, which, how in changes:
            order += 1
            session = _changed(session, kind, which, how, order)
        versions.append(session)
    return versions


def _changed(session: Session, kind: str, which: int, how: int, order: int) -> Session:
    """One change. `which` selects the entry, `how` its new content, `order` is that of an entry that is added."""
    if kind in ("add-movie", "remove-movie", "vote", "describe"):
        return _changed_movie(session, kind, which, how, order)
    if kind == "join":
        # Those who left and came back have another order.
        return with_participants(_without_participant(session, f"p{which}"), _participant(which, how, order))
    if kind == "restore":
        # The order of the membership that goes on: in the middle of the others.
        return with_participants(_without_participant(session, f"p{which}"), _participant(which, how, -which))
    entry = _selected(session.participants, which)
    if kind == "transfer-host":
        return replace(session, host=entry.id if entry and how else None)
    if entry is None:
        return session
    if kind == "leave":
        return _without_participant(session, entry.id)
    if kind == "rename":
        return with_participants(session, replace(entry, name=TITLES[how % 4], _encoded={}))
    if kind == "drop":
        return with_participants(session, replace(entry, connected=how > 4, _encoded={}))
    return with_participants(session, replace(entry, owner=f"r.{how}", _encoded={}))


def _changed_movie(session: Session, kind: str, which: int, how: int, order: int) -> Session:
    if kind == "add-movie":
        id_ = f"m/{which}"
        return session if id_ in session.movies else with_movies(session, _movie(id_, how, order))
    entry = _selected(session.movies, which)
    if entry is None:
        return session
    if kind == "remove-movie":
        left = {id_: other for id_, other in session.movies.items() if other is not entry}
        return replace(session, movies=Movies(left))
    if kind == "vote":
        return with_movies(session, replace(entry, tally=Tally(how, which % 3, 25 * how), _encoded=[]))
    details = {"id": entry.id, "title": TITLES[how % 4], **DETAILS[which % 4]}
    return with_movies(session, replace(entry, details=details, _encoded=[]))


def _movie(id_: str, how: int, order: int) -> MovieEntry:
    details = {"id": id_, "title": TITLES[how % 4], **DETAILS[how // 4 % 4]}
    adder = f"p{how}" if how % 2 else None
    return MovieEntry(id_, order, EMPTY.created_at + order, adder, details, Tally())


def _participant(which: int, how: int, order: int) -> ParticipantEntry:
    return ParticipantEntry(f"p{which}", order, EMPTY.created_at + order, TITLES[how % 4], connected=True)


def _without_participant(session: Session, id_: str) -> Session:
    people = {other: entry for other, entry in session.participants.items() if other != id_}
    return replace(session, participants=Participants(people))


def _selected(entries: dict[str, E], which: int) -> E | None:
    if not entries:
        return None
    return list(entries.values())[which % len(entries)]


def _ordered(entries: dict[str, E]) -> dict[str, E]:
    return {entry.id: entry for entry in sorted(entries.values(), key=attrgetter("order"))}


HISTORIES: Final = st.builds(
    _history,
    st.lists(
        st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 9), st.integers(0, 9)), max_size=8), max_size=12
    ),
    st.sampled_from((1, 3, 200)),
)
