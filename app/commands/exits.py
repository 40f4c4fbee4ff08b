"""Exit codes of the commands."""

from __future__ import annotations

from typing import Final

__all__ = ["CLOSED_PIPE", "FAILED", "INTERRUPTED", "OK", "USAGE_ERROR"]

OK: Final = 0
FAILED: Final = 1
USAGE_ERROR: Final = 2
# What shells report of a program that SIGINT or SIGPIPE has ended.
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141
