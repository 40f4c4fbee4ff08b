"""Times as people look at them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import ceil

from typing_extensions import TypedDict

__all__ = ["Percentiles", "percentiles"]


class Percentiles(TypedDict):
    """Milliseconds, to three decimals; all null where nothing was measured."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Of these times: the least of them that so many percent are not above (nearest rank), and the longest."""
    ordered = sorted(array("d", seconds))

    def at(percent: int) -> float | None:
        return round(1000 * ordered[ceil(percent * len(ordered) / 100) - 1], 3) if ordered else None

    return {"count": len(ordered), "p50": at(50), "p90": at(90), "p99": at(99), "max": at(100)}
