"""Compares the content of a session with the changes that were made in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.sessions.rating import VETO, Tally, points, ranking

__all__ = ["Change", "ChangeKind", "Outcome", "contradictions"]

ChangeKind = Literal["add-movie", "remove-movie", "vote", "withdraw-vote"]
Outcome = Literal["done", "refused", "unknown"]


@dataclass(slots=True)
class Change:
    """A change that a client asked for. Times are seconds of the load's clock.

    ``emitted``: when it was sent, None if it was sent more than once. ``answered``: when it was acknowledged.
    ``place``: its place in the history (see ``SessionCheck``). ``rating`` 0 is a withdrawal.
    """

    client: int
    kind: ChangeKind
    movie: str
    rating: int = 0
    emitted: float | None = None
    answered: float = 0.0
    outcome: Outcome = "unknown"
    place: int = 0
    certain: bool = True

    @property
    def surely(self) -> bool:
        """Whether the session must contain it: it was acknowledged, and no later epoch says that changes were lost."""
        return self.outcome == "done" and self.certain

    @property
    def maybe(self) -> bool:
        """Whether it is unknown if the session contains it."""
        return self.outcome == "unknown" or (self.outcome == "done" and not self.certain)


@dataclass(frozen=True, slots=True)
class _ShownTally:
    compatibility: int
    vetoes: int
    count: int


def contradictions(changes: Sequence[Change], movies: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the kind and description of each difference between ``movies`` and the ``changes``.

    The changes of each client are in the order in which it sent them.
    """
    shown = {str(movie["id"]): movie for movie in movies}
    if len(shown) < len(movies):
        yield "phantom-change", "a movie is there more than once"
    yield from _wrong_lists(changes, shown.keys())
    votes: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        if change.kind in ("vote", "withdraw-vote"):
            votes[change.movie].append(change)
    for name, movie in shown.items():
        if _tally_of(movie) not in {_figures(tally) for tally in _possible_tallies(votes[name])}:
            yield "wrong-tally", f"the ratings of movie {name} are not those that were acknowledged"
    yield from _wrong_ranks(movies)


def _wrong_lists(changes: Sequence[Change], shown: Collection[str]) -> Iterator[tuple[str, str]]:
    added = [change for change in changes if change.kind == "add-movie"]
    removed = [change for change in changes if change.kind == "remove-movie"]
    perhaps_gone = {change.movie for change in removed if change.surely or change.maybe}
    for movie in sorted({change.movie for change in added if change.surely} - perhaps_gone - set(shown)):
        yield "lost-change", f"movie {movie} was acknowledged and is not there"
    for movie in sorted({change.movie for change in removed if change.surely} & set(shown)):
        yield "lost-change", f"the removal of movie {movie} was acknowledged and it is there"
    for movie in sorted(set(shown) - {change.movie for change in added if change.surely or change.maybe}):
        yield "phantom-change", f"movie {movie} is there and nobody has added it"


def _possible_tallies(votes: Iterable[Change]) -> set[Tally]:
    """Return the tallies possible if every rating of unknown outcome may or may not count."""
    ratings: defaultdict[int, set[int]] = defaultdict(set)
    newest: dict[int, int] = {}
    for vote in votes:
        if vote.surely:
            newest[vote.client] = vote.rating
        elif vote.maybe:
            ratings[vote.client].add(vote.rating)
    for client in newest.keys() | ratings.keys():
        ratings[client].add(newest.get(client, 0))
    possible = {Tally()}
    for choices in ratings.values():
        possible = {_with(tally, rating) for tally in possible for rating in choices}
    return possible


def _with(tally: Tally, rating: int) -> Tally:
    if not rating:
        return tally
    if rating == VETO:
        return Tally(tally.count, tally.vetoes + 1, tally.points)
    return Tally(tally.count + 1, tally.vetoes, tally.points + points(rating))


def _figures(tally: Tally) -> tuple[Any, ...]:
    return tally.count, tally.vetoes, tally.score, tally.compatibility


def _tally_of(movie: Mapping[str, Any]) -> tuple[Any, ...]:
    return movie.get("count"), movie.get("vetoes"), movie.get("score"), movie.get("compatibility")


def _wrong_ranks(movies: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    try:
        shown = [
            (str(movie["id"]), _ShownTally(movie["compatibility"], movie["vetoes"], movie["count"])) for movie in movies
        ]
        right = ranking(shown) == {str(movie["id"]): movie["rank"] for movie in movies}
    except (KeyError, TypeError):
        right = False
    if not right:
        yield "wrong-ranking", "the ranks do not follow from the ratings"
