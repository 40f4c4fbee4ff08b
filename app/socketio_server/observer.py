"""What the engine tells whoever counts."""

from __future__ import annotations


class Observer:
    """Receives the engine's countable facts; every method does nothing until overridden.

    The methods are called on the event loop and must neither block nor raise. `transport` is `polling` or `websocket`;
    reasons are words from small fixed sets, safe as metric labels.
    """

    def opened(self, transport: str) -> None:
        """An Engine.IO session was opened over `transport`."""

    def upgraded(self) -> None:
        """A session moved from polling to WebSocket."""

    def closed(self, transport: str, reason: str) -> None:
        """A session ended; `transport` is the one it had at its end."""

    def refused(self, reason: str) -> None:
        """A request or a handshake was answered with an error."""

    def handshake_refused(self, transport: str, reason: str) -> None:
        """A handshake over `transport` was, which `refused` has heard of, too."""

    def violated(self, reason: str) -> None:
        """A connection was closed because its peer broke the protocol."""

    def connected(self, accepted: bool) -> None:
        """A Socket.IO CONNECT was answered."""

    def slow(self) -> None:
        """A socket was closed because its peer did not read."""

    def coalesced(self) -> None:
        """A pending message was replaced by a newer one of the same key."""
