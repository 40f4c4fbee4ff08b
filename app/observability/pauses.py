"""Measures how long Python's garbage collector stops the process."""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from time import perf_counter
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

__all__ = ["CollectorPauses"]

_GENERATIONS: Final = ("0", "1", "2")


class CollectorPauses(Collector):
    """A histogram of the pauses within ``watched``, by generation.

    It uses plain numbers, because a collection may begin while the lock of a histogram of the library is held.
    """

    def __init__(self, name: str, text: str, buckets: Sequence[float]) -> None:
        self._name, self._text, self._bounds = name, text, tuple(buckets)
        self._counts = [[0] * (len(buckets) + 1) for _ in _GENERATIONS]
        self._seconds = [0.0 for _ in _GENERATIONS]
        self._began = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure every collection of the process in the block."""
        gc.callbacks.append(self._called)
        try:
            yield
        finally:
            gc.callbacks.remove(self._called)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=["generation"])
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for generation, counts, seconds in zip(_GENERATIONS, self._counts, self._seconds, strict=True):
            family.add_metric([generation], list(zip(bounds, accumulate(counts), strict=True)), seconds)
        yield family

    def _called(self, phase: str, about: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = perf_counter()
            return
        pause = perf_counter() - self._began
        generation = about["generation"]
        self._counts[generation][bisect_left(self._bounds, pause)] += 1
        self._seconds[generation] += pause
