"""The interfaces between the parts of the engine, and the types of ASGI."""

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
    """An accepted WebSocket."""

    receiver: Receiver

    def writable(self) -> bool:
        """Return whether ``write`` may be called now."""

    async def ready(self) -> None:
        """Wait until ``write`` may be called or the peer is gone."""

    def write(self, message: Encoded) -> None:
        """Send all packets of a message; ignore that the peer is gone."""

    def cork(self) -> None:
        """Send what is written from now on together, once the event loop has handled what it receives next."""

    def read_on(self) -> None:
        """Deliver further messages after ``received`` has returned False."""

    def close(self, code: int) -> None:
        """Send a close frame after the pending data; abort if the peer does not answer within a second."""

    def abort(self) -> None:
        """Abort the connection and discard pending data."""


class Receiver(Protocol):
    """The receiver of a WebSocket's messages."""

    def opened(self, websocket: WebSocket) -> None:
        """Handle that the WebSocket can be written to."""

    def received(self, message: str | bytes) -> bool:
        """Handle a message; return False to pause reading until ``read_on``."""

    def failed(self, code: int) -> None:
        """Handle that the WebSocket is closed with this code because the peer violated its protocol."""

    def lost(self) -> None:
        """Handle that the peer has closed the WebSocket or is gone. May be called repeatedly."""


class Upgrade(Protocol):
    """A WebSocket that is about to become a session's transport."""

    is_answered: bool

    def session_closed(self, code: int) -> None:
        """Close the WebSocket, because the session has ended."""

    async def settled(self) -> None:
        """Wait a moment for the WebSocket to take over, if it is about to."""
