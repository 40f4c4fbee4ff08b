"""What the parts of the engine ask of each other, and ASGI's types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from app.socketio_server.frames import Encoded

__all__ = ["Message", "Receive", "Receiver", "Scope", "Send", "Upgrade", "WebSocket"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WebSocket(Protocol):
    """A WebSocket that has been accepted."""

    receiver: Receiver

    def writable(self) -> bool:
        """Return whether ``write`` may be called now."""

    async def ready(self) -> None:
        """Wait until ``write`` may be called, or the peer is gone."""

    def write(self, message: Encoded) -> None:
        """Send all packets of a message. A peer that is gone is ignored."""

    def read_on(self) -> None:
        """Deliver further messages, after ``received`` has returned False."""

    def close(self, code: int) -> None:
        """Send a close frame behind what was written; a peer that does not answer it in a second is cut off."""

    def abort(self) -> None:
        """Drop the connection with all that waits for the peer."""


class Receiver(Protocol):
    """Whoever has a WebSocket's messages."""

    def opened(self, websocket: WebSocket) -> None:
        """Hear that the WebSocket may be written to."""

    def received(self, message: str | bytes) -> bool:
        """Take a message; return whether the next one may come now rather than after ``read_on``."""

    def failed(self, code: int) -> None:
        """Hear that the WebSocket is closed with this code because the peer broke its protocol."""

    def lost(self) -> None:
        """Hear that the peer has closed the WebSocket or is gone, perhaps more than once."""


class Upgrade(Protocol):
    """A WebSocket that is about to become a session's transport."""

    is_answered: bool

    def give_up(self, code: int) -> None:
        """Close the WebSocket; the session goes on polling, if it goes on."""

    async def settled(self) -> None:
        """Wait a moment for the WebSocket to take over, if it is about to."""
