"""The ASGI types that the engine is made of, and the WebSocket side of a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from app.socketio_server.frames import Encoded

__all__ = ["AsgiWriter", "Message", "Receive", "Scope", "Send", "Writer"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Writer(Protocol):
    """The WebSocket side of a session."""

    def writable(self) -> bool: ...
    async def ready(self) -> None: ...
    def write(self, message: Encoded) -> Awaitable[None] | None: ...


class AsgiWriter:
    """Writes through ASGI's ``send``, under any server. It can never be written to without waiting."""

    __slots__ = ("_send",)

    def __init__(self, send: Send) -> None:
        self._send = send

    def writable(self) -> bool:
        return False

    async def ready(self) -> None:
        return None

    async def write(self, message: Encoded) -> None:
        for part in message.messages:
            await self._send(part)
