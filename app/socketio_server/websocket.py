"""The server side of a WebSocket on an asyncio transport: https://www.rfc-editor.org/rfc/rfc6455.

A connection has no task, queue or timer: frames are parsed when they arrive, and each message is passed to its receiver
at once. Subprotocols are not negotiated.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from app.socketio_server.frames import Encoded, websocket_frame
from app.socketio_server.interfaces import Receiver
from app.socketio_server.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_DATA,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TOO_BIG,
    Frame,
    FrameError,
    check_close,
    inflated,
    read_frame,
)

__all__ = ["WebSocketProtocol"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Close code, section 7.4.1.
_GOING_AWAY: Final = 1001

# The frames parsed in one turn of the event loop.
_FRAMES_PER_TURN: Final = 256
# Bytes of an inflated message that count as a frame: little data can become many bytes, which take time to handle.
_INFLATED_PER_FRAME: Final = 1024
# Each fragment takes memory besides its bytes, of which it may have none. Proxies that split messages use kilobytes.
_MAX_FRAGMENTS: Final = 1024
# Seconds for the peer to answer a close frame, or to read what was sent before.
_CLOSE_TIMEOUT: Final = 1.0


class _Fragments:
    """The fragments of a message that has not arrived in full, with the first of its frames. ``size`` is in bytes."""

    __slots__ = ("first", "payloads", "size")

    def __init__(self, first: Frame) -> None:
        self.first = first
        self.payloads = [first.payload]
        self.size = len(first.payload)

    def add(self, payload: bytes) -> None:
        """Raises ``FrameError``."""
        self.payloads.append(payload)
        self.size += len(payload)
        if len(self.payloads) > _MAX_FRAGMENTS:
            raise FrameError(TOO_BIG)


class WebSocketProtocol(asyncio.Protocol):
    """A WebSocket that takes over the connection of an HTTP request.

    ``max_message``: bytes of the largest accepted message, as sent and inflated. ``deflate``: the header that accepts
    permessage-deflate, if it was negotiated. While the peer does not read, only its last ping is answered (section
    5.5.3).
    """

    __slots__ = (
        "__weakref__",
        "_closing",
        "_corked",
        "_deflate",
        "_fragments",
        "_has_failed",
        "_is_paused",
        "_is_write_paused",
        "_max_message",
        "_on_lost",
        "_pong",
        "_unread",
        "_writable_waiter",
        "receiver",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, receiver: Receiver, max_message: int, deflate: bytes | None = None) -> None:
        self.receiver = receiver
        self._max_message = max_message
        self._deflate = deflate
        self._on_lost: Callable[[], None] | None = None
        self._is_paused = False
        self._is_write_paused = False
        self._writable_waiter: asyncio.Future[None] | None = None
        # The timer that aborts the connection; set after a close frame was sent or the peer has closed its side.
        self._closing: asyncio.TimerHandle | None = None
        # What was written since ``cork``.
        self._corked: list[bytes] | None = None
        # Received data that was not parsed yet.
        self._unread: bytearray | None = None
        # Those of the current message.
        self._fragments: _Fragments | None = None
        self._has_failed = False
        self._pong: bytes | None = None

    def take_over(
        self,
        transport: asyncio.Transport,
        key: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        data: bytes,
        on_lost: Callable[[], None],
    ) -> None:
        """Accept the handshake with this key; ``headers`` are added to the response.

        ``data`` arrived after the handshake. ``on_lost`` is called at the end of the connection.
        """
        self.transport = transport
        self._on_lost = on_lost
        transport.set_protocol(self)
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        if self._deflate is not None:
            headers = [*headers, (b"Sec-WebSocket-Extensions", self._deflate)]
        self.cork()
        self._send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n%s\r\n" % (accept, b"".join(b"%s: %s\r\n" % header for header in headers))
        )
        self.receiver.opened(self)
        if data:
            self.data_received(data)

    def shutdown(self) -> None:
        """End the connection because its listener stops."""
        self.close(_GOING_AWAY)

    # Sending

    def writable(self) -> bool:
        return not self._is_write_paused

    async def ready(self) -> None:
        if self._is_write_paused:
            if self._writable_waiter is None:
                self._writable_waiter = asyncio.get_running_loop().create_future()
            await self._writable_waiter

    def write(self, message: Encoded) -> None:
        if self._closing is None and not self.transport.is_closing():
            self._send(message.websocket if self._deflate is None else message.deflated)

    def cork(self) -> None:
        if self._corked is None:
            self._corked = []
            loop = asyncio.get_running_loop()
            # Two turns: what the event loop receives in the first is handled in the second.
            loop.call_soon(loop.call_soon, self._uncork)

    def close(self, code: int) -> None:
        self._send_close(code.to_bytes(2, "big"))

    def abort(self) -> None:
        self.transport.abort()

    def _send(self, data: bytes) -> None:
        if self._corked is None:
            self.transport.write(data)
        else:
            self._corked.append(data)

    def _uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked and not self.transport.is_closing():
            self.transport.write(b"".join(corked))

    def _send_close(self, payload: bytes) -> None:
        if self._closing is not None or self.transport.is_closing():
            return
        self._uncork()
        self.transport.write(websocket_frame(CLOSE, payload))
        self._abort_soon()
        if self._is_paused:
            # Read on to get the peer's close frame.
            asyncio.get_running_loop().call_soon(self.read_on)

    def _abort_soon(self) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self.transport.abort)

    # asyncio

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._unread = self._fragments = None
        self._stop_waiting()
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()
            self.receiver.lost()

    def eof_received(self) -> None:
        # The transport closes once its data is sent, which a peer that does not read would delay for ever.
        self._abort_soon()

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._stop_waiting()
        pong, self._pong = self._pong, None
        if pong is not None and self._closing is None and not self.transport.is_closing():
            self.transport.write(pong)

    def _stop_waiting(self) -> None:
        waiter, self._writable_waiter = self._writable_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Receiving

    def data_received(self, data: bytes) -> None:
        if self._has_failed:
            return
        if self._unread is not None:
            self._unread += data
            if not self._is_paused:
                self._read_unread()
        elif self._is_paused:
            self._unread = bytearray(data)
        else:
            self._read(data)

    def read_on(self) -> None:
        if not self._is_paused or self.transport.is_closing():
            return
        self._is_paused = False
        self._read_unread()
        if not self._is_paused:
            self.transport.resume_reading()

    def _pause(self) -> None:
        self._is_paused = True
        self.transport.pause_reading()

    def _read_unread(self) -> None:
        unread, self._unread = self._unread, None
        if unread:
            self._read(unread)

    def _read(self, data: bytes | bytearray) -> None:
        """Parse frames until none is complete, the receiver pauses, or other connections must have their turn."""
        at = 0
        pings: list[bytes] = []
        left = _FRAMES_PER_TURN
        try:
            while left > 0:
                if self._is_paused or self._has_failed or self.transport.is_closing():
                    break
                room = self._max_message - (self._fragments.size if self._fragments is not None else 0)
                frame = read_frame(data, at, room, deflate=self._deflate is not None)
                if frame is None:
                    break
                at = frame.end
                left -= 1
                if frame.opcode == PING:
                    pings.append(frame.payload)
                elif frame.opcode != PONG:
                    self._answer(pings)
                    left -= self._take(frame) // _INFLATED_PER_FRAME
            else:
                # If the receiver has paused, it calls ``read_on`` itself.
                if not self._is_paused and not self.transport.is_closing():
                    self._pause()
                    asyncio.get_running_loop().call_soon(self.read_on)
            self._answer(pings)
        except FrameError as error:
            self._answer(pings)
            self._fail(error.code)
        if self._has_failed or at == len(data):
            return
        # A bytearray, so that a large frame that arrives in small pieces is not copied with each.
        self._unread = data if isinstance(data, bytearray) else bytearray(data)
        del self._unread[:at]

    def _take(self, frame: Frame) -> int:
        """Handle a data frame, or the one that closes the connection; return the bytes that were inflated.

        Raises ``FrameError``.
        """
        if frame.opcode == CLOSE:
            self._closed_by_peer(frame.payload)
            return 0
        if self._closing is not None:
            return 0
        fragments = self._fragments
        if (frame.opcode == CONTINUATION) != (fragments is not None):
            raise FrameError(PROTOCOL_ERROR)
        if not frame.is_last:
            if fragments is None:
                self._fragments = _Fragments(frame)
            else:
                fragments.add(frame.payload)
            return 0
        if fragments is None:
            return self._deliver(frame, frame.payload)
        self._fragments = None
        return self._deliver(fragments.first, b"".join((*fragments.payloads, frame.payload)))

    def _deliver(self, first: Frame, payload: bytes) -> int:
        """Pass on a message that begins with the frame ``first``; return the bytes that were inflated."""
        if first.is_compressed:
            payload = inflated(payload, self._max_message)
        try:
            message = payload if first.opcode == BINARY else payload.decode()
        except UnicodeDecodeError:
            # Section 8.1.
            raise FrameError(INVALID_DATA) from None
        if not self.receiver.received(message):
            self._pause()
        return len(payload) if first.is_compressed else 0

    def _answer(self, pings: list[bytes]) -> None:
        if pings and self._closing is None and not self.transport.is_closing():
            if self._is_write_paused:
                self._pong = websocket_frame(PONG, pings[-1])
            else:
                self._send(b"".join(websocket_frame(PONG, ping) for ping in pings))
        pings.clear()

    def _closed_by_peer(self, payload: bytes) -> None:
        check_close(payload)
        # Section 5.5.1: the answer echoes the code.
        self._send_close(payload[:2])
        self.transport.close()
        self.receiver.lost()

    def _fail(self, code: int) -> None:
        """Fail the connection because of the peer's data (section 7.1.7); further data is not read."""
        self._has_failed = True
        self._fragments = None
        self.close(code)
        # Closing at once would reset the connection if data is unread, and the close frame would be lost.
        if not self.transport.is_closing():
            self.transport.write_eof()
        self.receiver.failed(code)
