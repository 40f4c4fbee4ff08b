"""Exit codes of the commands."""

from __future__ import annotations

from typing import Final

__all__ = ["FAILED", "OK", "USAGE_ERROR"]

OK: Final = 0
FAILED: Final = 1
USAGE_ERROR: Final = 2
