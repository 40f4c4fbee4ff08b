"""Times as people read them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

__all__ = ["relative", "when"]

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def when(text: str) -> str:
    """Return a time of the service for standard output: relative to now on a terminal, else as it is."""
    return relative(text, datetime.now(UTC)) if sys.stdout.isatty() else text


def relative(text: str, now: datetime) -> str:
    """Return a time such as ``in 2 h`` or ``3 min ago``."""
    seconds = (datetime.fromisoformat(text) - now).total_seconds()
    size, unit = next((each for each in _UNITS if abs(seconds) >= each[0]), _UNITS[-1])
    count = round(abs(seconds) / size)
    if not count:
        return "now"
    return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
