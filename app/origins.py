"""Which pages of other origins may call the service."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["AllowedOrigins"]


class AllowedOrigins:
    """A list of origins, such as ``https://example.org``; with ``*`` among them it is any.

    The service's own origin is not on it. Which headers an answer has is the affair of whoever answers.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(origins)
        self.any = "*" in self._origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def __contains__(self, origin: str) -> bool:
        return self.any or origin in self._origins
