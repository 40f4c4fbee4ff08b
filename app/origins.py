"""The origins of other sites whose pages may call the service."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["AllowedOrigins"]


class AllowedOrigins:
    """A list of origins, such as ``https://example.org``; ``*`` allows any origin.

    The service's own origin is not in the list. HTTP and Socket.IO add the CORS headers themselves.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(origins)
        self.any = "*" in self._origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def __contains__(self, origin: str) -> bool:
        return self.any or origin in self._origins
