"""The form of times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["timestamp"]


def timestamp(milliseconds: int) -> str:
    """Format a time as JavaScript's ``toISOString`` does: ISO 8601 in UTC with three decimals and ``Z``."""
    minute, rest = divmod(milliseconds, 60_000)
    return f"{_minute(minute)}:{rest / 1000:06.3f}Z"


@lru_cache(maxsize=1024)
def _minute(minutes: int) -> str:
    """Minutes since 1970, to the minute. The times in a session are close together, and are shown again and again."""
    return f"{datetime.fromtimestamp(60 * minutes, UTC):%Y-%m-%dT%H:%M}"
