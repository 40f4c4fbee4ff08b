"""How ratings become a score, a compatibility and a rank.

A rating is 1 to 5; 1 is a veto, 2 to 5 are worth 25 to 100 points. All arithmetic is on integers, so that halves round
up exactly and every replica computes the same ranking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Final, Protocol

__all__ = ["RATINGS", "VETO", "Ranked", "Tally", "points", "ranking"]

VETO: Final = 1
RATINGS: Final = range(1, 6)


class Ranked(Protocol):
    """What the rank of a movie depends on."""

    @property
    def compatibility(self) -> int: ...
    @property
    def vetoes(self) -> int: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """The sum of one movie's ratings: ``count`` that are no veto, worth ``points`` together, and ``vetoes``."""

    count: int = 0
    vetoes: int = 0
    points: int = 0

    @property
    def score(self) -> float:
        """Mean points of the ratings that are no veto, to two decimals; 0 without any."""
        if not self.count:
            return 0
        return (200 * self.points + self.count) // (2 * self.count) / 100

    @property
    def compatibility(self) -> int:
        """``mean * (count / (count + vetoes)) ** 3.5``, rounded half up; 0 without a rating that is no veto.

        The square of the value is ``points² · count⁵ / (count + vetoes)⁷``, so the root of its fourfold, cut to an
        integer, tells the half steps below the value without a floating point in it.
        """
        if not self.count:
            return 0
        half_steps = isqrt(4 * self.points**2 * self.count**5 // (self.count + self.vetoes) ** 7)
        return (half_steps + 1) // 2


def points(rating: int) -> int:
    """Points of one rating; a veto has none."""
    return (rating - 1) * 25


def ranking(tallies: Iterable[tuple[str, Ranked]]) -> dict[str, int]:
    """Rank (from 1) of each movie, given in the order in which they were added.

    A total order: compatibility descending, then fewer vetoes, more ratings, earlier added, id.
    """
    ordered = sorted(
        (-tally.compatibility, tally.vetoes, -tally.count, position, movie_id)
        for position, (movie_id, tally) in enumerate(tallies)
    )
    return {movie_id: rank for rank, (*_, movie_id) in enumerate(ordered, start=1)}
