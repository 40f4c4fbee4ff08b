"""The interface for metrics of the server."""

from __future__ import annotations

__all__ = ["Observer"]


class Observer:
    """Is notified of events of the server; every method does nothing until overridden.

    The methods are called on the event loop and must neither block nor raise. ``transport`` is ``polling`` or
    ``websocket``. ``reason`` is a word from a small fixed set, usable as a metric label.
    """

    def opened(self, transport: str) -> None:
        """An Engine.IO session was opened over ``transport``."""

    def upgraded(self) -> None:
        """A session moved from polling to WebSocket."""

    def closed(self, transport: str, reason: str) -> None:
        """A session ended; ``transport`` is its last one."""

    def refused(self, reason: str) -> None:
        """A request or a handshake was answered with an error."""

    def handshake_refused(self, transport: str, reason: str) -> None:
        """A handshake over ``transport`` was refused; ``refused`` is called as well."""

    def violated(self, reason: str) -> None:
        """A session was closed because its client broke the protocol."""

    def connected(self, accepted: bool) -> None:
        """A Socket.IO CONNECT packet was answered, with CONNECT_ERROR unless ``accepted``."""

    def slow(self) -> None:
        """A session was closed because its client did not read."""

    def coalesced(self) -> None:
        """A queued message was replaced by a newer one with the same key."""
