"""The names of keys in Redis, for a service with the default prefix."""

from __future__ import annotations

from typing import Final

from app.store.keys import Keys

__all__ = ["KEYS"]

KEYS: Final = Keys("js")
