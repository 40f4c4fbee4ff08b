"""A WebSocket over ASGI, for any server."""

from __future__ import annotations

import asyncio

from app.socketio_server import asgi
from app.socketio_server.frames import Encoded
from app.socketio_server.interfaces import Receive, Receiver, Send
from app.socketio_server.libraries import abort

__all__ = ["AsgiWebSocket"]


class AsgiWebSocket:
    """Reads and writes with ASGI's ``receive`` and ``send``; holds at most one message that is being sent."""

    def __init__(self, receiver: Receiver, receive: Receive, send: Send) -> None:
        self.receiver = receiver
        self._receive = receive
        self._send = send
        self._code: int | None = None
        self._is_aborted = False
        self._reader: asyncio.Task[None] | None = None
        self._may_read = asyncio.Event()
        self._unsent: list[Encoded] = []
        self._has_unsent = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    async def serve(self) -> None:
        """Accept the WebSocket and serve it until its end."""
        try:
            await asgi.accept(self._receive, self._send)
            await self._serve()
        finally:
            self._unsent.clear()
            self._all_sent.set()
            self.receiver.lost()

    async def _serve(self) -> None:
        self._reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            self.receiver.opened(self)
            await asyncio.wait({self._reader})
            await self._end(writer)
        finally:
            self._reader.cancel()
            writer.cancel()
            # If the peer is gone the reader notices as well, so the writer's error is ignored.
            await asyncio.gather(writer, return_exceptions=True)
        if not self._reader.cancelled():
            self._reader.result()

    async def _read(self) -> None:
        while (message := asgi.received(await self._receive())) is not None:
            self._may_read.clear()
            if not self.receiver.received(message):
                await self._may_read.wait()

    async def _write(self) -> None:
        while True:
            await self._has_unsent.wait()
            while self._unsent:
                for part in self._unsent[0].messages:
                    await self._send(part)
                del self._unsent[0]
            self._has_unsent.clear()
            self._all_sent.set()

    async def _end(self, writer: asyncio.Task[None]) -> None:
        if self._code is None or self._is_aborted:
            return
        sent = asyncio.create_task(self._all_sent.wait())
        await asyncio.wait({sent, writer}, timeout=asgi.FINAL_RESPONSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()
        if self._unsent:
            abort(self._send)
        else:
            await asgi.end_websocket(self._send, self._code)

    def writable(self) -> bool:
        return not self._unsent

    async def ready(self) -> None:
        await self._all_sent.wait()

    def write(self, message: Encoded) -> None:
        self._unsent.append(message)
        self._all_sent.clear()
        self._has_unsent.set()

    def cork(self) -> None:
        """Do nothing: ASGI sends one message after the other."""

    def read_on(self) -> None:
        self._may_read.set()

    def close(self, code: int) -> None:
        self._code = code
        self._stop_reading()

    def abort(self) -> None:
        self._is_aborted = True
        abort(self._send)
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
