"""Computes ratings independently of the service: with high-precision decimals from the single ratings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

__all__ = ["POINTS", "figures", "ranks"]

POINTS: Final = {2: 25, 3: 50, 4: 75, 5: 100}
_PRECISION: Final = 200


def figures(ratings: Iterable[int]) -> dict[str, Any]:
    """Return `count`, `vetoes`, `score` and `compatibility` of one movie, as in `sessionData`."""
    given = list(ratings)
    liked = [POINTS[rating] for rating in given if rating != 1]
    vetoes = len(given) - len(liked)
    score = compatibility = Decimal(0)
    if liked:
        with localcontext() as context:
            context.prec = _PRECISION
            mean = Decimal(sum(liked)) / len(liked)
            agreement = Decimal(len(liked)) / len(given)
            score = mean.quantize(Decimal("0.01"), ROUND_HALF_UP)
            compatibility = (mean * agreement**3 * agreement.sqrt()).quantize(Decimal(1), ROUND_HALF_UP)
    return {"count": len(liked), "vetoes": vetoes, "score": float(score), "compatibility": int(compatibility)}


def ranks(movies: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the rank of each movie from its `figures`. The movies are in the order in which they were added."""

    def beats(one: tuple[int, str], other: tuple[int, str]) -> bool:
        (place, key), (other_place, other_key) = one, other
        mine, theirs = movies[key], movies[other_key]
        if mine["compatibility"] != theirs["compatibility"]:
            return bool(mine["compatibility"] > theirs["compatibility"])
        if mine["vetoes"] != theirs["vetoes"]:
            return bool(mine["vetoes"] < theirs["vetoes"])
        if mine["count"] != theirs["count"]:
            return bool(mine["count"] > theirs["count"])
        return place < other_place

    entries = list(enumerate(movies))
    return {entry[1]: 1 + sum(beats(other, entry) for other in entries if other != entry) for entry in entries}
