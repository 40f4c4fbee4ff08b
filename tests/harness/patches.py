"""Whether the clients of the tests take patches, which all tests pass with as well."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["TAKEN", "arguments"]

TAKEN: Final = os.environ.get("TEST_PATCHES") == "true"
"""Whether clients ask for patches where a test does not say anything of them. `clients.mjs` applies them then."""


def arguments(event: str, args: Sequence[Any]) -> list[Any]:
    """Return the arguments of an event, with the option `patches` for `join-session` if patches are taken."""
    if not TAKEN or event != "join-session" or not args:
        return [*args]
    first, *rest = args
    if isinstance(first, dict):
        return [{"patches": True, **first}, *rest]
    if not rest:
        return [first, {"patches": True}]
    options, *more = rest
    return [first, {"patches": True, **options} if isinstance(options, dict) else options, *more]
