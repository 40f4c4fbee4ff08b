"""Percentiles of measured times."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import ceil

from typing_extensions import TypedDict

__all__ = ["Percentiles", "percentiles"]


class Percentiles(TypedDict):
    """Milliseconds, with three decimals; all null if nothing was measured."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Return the percentiles (nearest rank) and the maximum."""
    ordered = sorted(array("d", seconds))

    def at(percent: int) -> float | None:
        return round(1000 * ordered[ceil(percent * len(ordered) / 100) - 1], 3) if ordered else None

    return {"count": len(ordered), "p50": at(50), "p90": at(90), "p99": at(99), "max": at(100)}
