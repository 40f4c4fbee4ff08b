"""Computes score, compatibility and rank from ratings.

A rating is 1 to 5: 1 is a veto, 2 to 5 are worth 25 to 100 points. All arithmetic uses integers, so that halves round
up exactly and all replicas compute the same ranking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import isqrt
from typing import Final, Protocol

__all__ = ["RATINGS", "VETO", "Ranked", "Tally", "points", "ranking"]

VETO: Final = 1
RATINGS: Final = range(1, 6)


class Ranked(Protocol):
    """The properties that determine the rank of a movie."""

    @property
    def compatibility(self) -> int: ...
    @property
    def vetoes(self) -> int: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """The ratings of one movie: ``count`` ratings that are no veto, worth ``points`` together, and ``vetoes``."""

    count: int = 0
    vetoes: int = 0
    points: int = 0
    compatibility: int = field(init=False, compare=False)
    """``mean * (count / (count + vetoes)) ** 3.5``, rounded half up; 0 if all ratings are vetoes.

    The square of the value is ``points² · count⁵ / (count + vetoes)⁷``. The integer part of the square root of four
    times that counts half steps, so no floating point is needed.
    """

    def __post_init__(self) -> None:
        # Only once: a vote changes one tally, and then all movies are ranked.
        object.__setattr__(self, "compatibility", _compatibility(self.count, self.vetoes, self.points))

    @property
    def score(self) -> float:
        """The mean points of the ratings that are no veto, with two decimals; 0 without any."""
        if not self.count:
            return 0
        return (200 * self.points + self.count) // (2 * self.count) / 100


@lru_cache(maxsize=4096)
def _compatibility(count: int, vetoes: int, points: int) -> int:
    """Compute a compatibility; most tallies of a session that is read again are known."""
    if not count:
        return 0
    half_steps = isqrt(4 * points**2 * count**5 // (count + vetoes) ** 7)
    return (half_steps + 1) // 2


def points(rating: int) -> int:
    """Return the points of a rating; a veto has none."""
    return (rating - 1) * 25


def ranking(tallies: Iterable[tuple[str, Ranked]]) -> dict[str, int]:
    """Return the rank (from 1) of each movie. The movies are given in the order in which they were added.

    The order is total: by compatibility (descending), fewer vetoes, more ratings, earlier addition, id.
    """
    ordered = sorted(
        (-tally.compatibility, tally.vetoes, -tally.count, position, movie_id)
        for position, (movie_id, tally) in enumerate(tallies)
    )
    return {movie_id: rank for rank, (*_, movie_id) in enumerate(ordered, start=1)}
