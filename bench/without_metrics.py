"""The service with metrics that count nothing, to measure what they cost: ``python -m bench.without_metrics serve``."""

from __future__ import annotations

import sys
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from app.cli import main
from app.observability import metrics

__all__: list[str] = []


def _nothing(*_: Any, **__: Any) -> None:
    """Count nothing."""


# The metrics that are the service's own are classes of their own.
assert metrics
for kind, names in ((Counter, ("inc",)), (Gauge, ("inc", "dec", "set")), (Histogram, ("observe",))):
    for counting in (kind, *kind.__subclasses__()):
        for name in names:
            setattr(counting, name, _nothing)

sys.exit(main())
