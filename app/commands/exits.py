"""How commands end."""

from __future__ import annotations

from typing import Final

__all__ = ["FAILED", "MISUSED", "OK"]

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
