"""Python's collector of reference cycles, set for a process that serves."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["tune_collector"]

# Container objects that are made and not freed until the youngest are looked at, and how many such looks make one at
# the next generation. Python's own 700, 10, 10 have a few updates of a large session look at everything that lives;
# with 20,000 a look at the youngest takes 12 ms, in which nobody is answered. A connection leaves about 140 objects in
# cycles, some 25 KB, so 4,200 that have gone are what waits at the most, or a quarter of what lives. Where a version of
# Python looks at the old ones in steps it takes the second number for their size and ignores the third.
_THRESHOLDS: Final = (5_000, 10, 10)


def tune_collector() -> None:
    """Leave what exists now alone for ever, and look for cycles seldom; call it once everything is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
