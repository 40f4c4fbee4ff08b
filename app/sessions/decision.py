"""The decision of a session: the movie, how it came about, and the ranking as it stood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from app.sessions.answer_fields import DecidedBy, Decision, Standing
from app.sessions.head import Head
from app.sessions.rating import Tally
from app.sessions.timestamps import timestamp

__all__ = ["DecisionEntry"]


@dataclass(frozen=True)
class DecisionEntry:
    """A decision. ``head``: of the session which first had it.

    ``tied``: the movies among which a lot was drawn. ``ranking``: the tallies of all movies by id, the first first.
    """

    movie: str
    by: DecidedBy
    tied: tuple[str, ...]
    decided_at: int
    head: Head
    ranking: dict[str, Tally]

    @cached_property
    def shown(self) -> Decision:
        """The decision as clients see it."""
        return {
            "movieID": self.movie,
            "by": self.by,
            "tied": list(self.tied),
            "decidedAt": timestamp(self.decided_at),
            "ranking": [_standing(movie, rank, tally) for rank, (movie, tally) in enumerate(self.ranking.items(), 1)],
        }


def _standing(movie: str, rank: int, tally: Tally) -> Standing:
    return {
        "movieID": movie,
        "rank": rank,
        "compatibility": tally.compatibility,
        "score": tally.score,
        "count": tally.count,
        "vetoes": tally.vetoes,
    }
