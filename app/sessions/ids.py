"""Random ids."""

from __future__ import annotations

import secrets
from typing import Final

__all__ = ["random_id"]

# A character for each value of a byte, all equally often.
_ID_CHARACTERS: Final = b"0123456789abcdefghjkmnpqrstvwxyz" * 8


def random_id() -> str:
    """Return an id of 75 random bits in digits and lower-case letters, as used in tokens and keys."""
    return secrets.token_bytes(15).translate(_ID_CHARACTERS).decode()
