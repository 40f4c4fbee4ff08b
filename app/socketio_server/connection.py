"""One Engine.IO session: its clock, what it sends, what it receives and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final, Protocol, cast

from app.socketio_server import frames
from app.socketio_server.frames import Encoded, ProtocolError
from app.socketio_server.heartbeat import Heartbeat
from app.socketio_server.options import Options
from app.socketio_server.polling import PollingTransport
from app.socketio_server.queues import Inbox, Outbox, TokenBucket
from app.socketio_server.writing import Receive, Writer

__all__ = [
    "CLIENT_DISCONNECT",
    "CLIENT_NAMESPACE_DISCONNECT",
    "NORMAL",
    "PING_TIMEOUT",
    "POLICY_VIOLATION",
    "SERVER_DISCONNECT",
    "TOO_BIG",
    "TRANSPORT_CLOSE",
    "TRANSPORT_ERROR",
    "TRY_AGAIN",
    "Closed",
    "Connection",
    "Owner",
]

# Reasons a session ends for, as python-socketio names them to disconnect handlers.
CLIENT_DISCONNECT: Final = "client disconnect"
# As Socket.IO names it: a socket was closed for good, by the client's own packet.
CLIENT_NAMESPACE_DISCONNECT: Final = "client namespace disconnect"
SERVER_DISCONNECT: Final = "server disconnect"
PING_TIMEOUT: Final = "ping timeout"
TRANSPORT_CLOSE: Final = "transport close"
TRANSPORT_ERROR: Final = "transport error"

# WebSocket close codes (RFC 6455, section 7.4.1 and the IANA registry).
NORMAL: Final = 1000
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
TRY_AGAIN: Final = 1013

# How long a poll waits for an upgrade packet that was sent before it, half of it at a time.
_UPGRADE_WAIT_SECONDS: Final = 0.005


class Owner(Protocol):
    """What a session needs of its server."""

    options: Options
    decode: Callable[[Connection, str | bytes], Any]

    async def handle(self, connection: Connection, item: Any) -> None: ...
    def ended(self, connection: Connection, reason: str) -> None: ...
    def slow(self, connection: Connection) -> None: ...
    def coalesced(self) -> None: ...


class Closed:
    """The last item of a session's inbox."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Connection:
    """An Engine.IO session, over whichever transport it has now.

    ``remembered`` is what is kept of the request that opened it. ``state`` belongs to the layer above. ``final_packet``
    answers the pending poll at the end, ``code`` is the code of the WebSocket's close frame. ``dropped`` says that the
    peer is not worth waiting for, ``known`` that the application has heard of the session.
    """

    def __init__(self, owner: Owner, sid: str, address: str, remembered: Mapping[str, Any]) -> None:
        options = owner.options
        self.sid = sid
        self.address = address
        self.remembered = remembered
        self.session: dict[Any, Any] = {}
        self.state: Any = None
        self.closed = False
        self.known = False
        self.upgraded = False
        self.final_packet = frames.CLOSE
        self.code = NORMAL
        self.dropped = False
        self._owner = owner
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox()
        self._inbox = Inbox(self._handle, max_items=options.max_queued, max_bytes=options.max_payload)
        self._bucket = TokenBucket(options.events_per_second, options.burst) if options.events_per_second else None
        self._writer: Writer | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._polling = PollingTransport()
        self._upgrade: asyncio.Future[None] | None = None
        self._probed = False
        self._leaving: tuple[str, int] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heartbeat = Heartbeat(
            self._loop, options.ping_interval, options.ping_timeout, ping=self._ping, missed=self._unanswered
        )

    @property
    def transport(self) -> str:
        """``polling`` or ``websocket``."""
        return "websocket" if self.upgraded else "polling"

    @property
    def worker(self) -> asyncio.Task[None] | None:
        """The task that handles this session's messages at the moment, if any."""
        return self._inbox.worker

    @property
    def unhandled(self) -> int:
        """The number of received messages that wait for their turn."""
        return len(self._inbox)

    @property
    def unsent(self) -> int:
        """The bytes held until the client takes them, those in the transport's own buffer not counted."""
        return self._outbox.size

    # Sending

    def send(self, message: Encoded, latest: Hashable | None = None) -> None:
        """Send ``message`` at once where the socket can take it, else queue it.

        Of queued messages with the same ``latest`` key only the newest is kept, behind all that was queued before it. A
        socket with more than ``max_backlog`` bytes queued is closed. A closed session ignores the call.
        """
        if self.closed:
            return
        writer = self._writer
        if writer is not None and not self._outbox and writer.writable():
            writer.write(message)
            return
        if self._outbox.put(message, latest):
            self._owner.coalesced()
        if self._outbox.size > self.options.max_backlog:
            self._owner.slow(self)
            self.close(TRANSPORT_ERROR, code=TRY_AGAIN, drop=True)
        elif writer is not None:
            self._drain(writer)
        else:
            self._polling.wake()

    def attach(self, writer: Writer) -> None:
        """Make a WebSocket the session's transport, and send it what has been waiting."""
        self.upgraded = True
        self._writer = writer
        self._polling.wake()
        if self._outbox:
            self._drain(writer)

    async def drained(self, timeout: float) -> bool:
        """Wait until nothing is queued for the WebSocket; return whether that came true in time."""
        if self._drainer is not None:
            await asyncio.wait({self._drainer}, timeout=timeout)
        return self._drainer is None and not self._outbox

    def _drain(self, writer: Writer) -> None:
        if self._drainer is None:
            self._drainer = self._loop.create_task(self._write_queued(writer))

    async def _write_queued(self, writer: Writer) -> None:
        try:
            while self._outbox:
                async with asyncio.timeout(self.options.write_timeout):
                    await writer.ready()
                    written = writer.write(self._outbox.pop()) if self._outbox else None
                    if written is not None:
                        await written
        except TimeoutError:
            self._owner.slow(self)
            self.close(TRANSPORT_ERROR, drop=True)
        except Exception:
            # Whatever an ASGI server raises for a peer that is gone. The reader sees the same and says so.
            self._outbox.take()
        finally:
            self._drainer = None

    # Long-polling

    @property
    def polling(self) -> bool:
        """Whether a poll is waiting."""
        return self._polling.waiting

    @property
    def posting(self) -> bool:
        """Whether a POST is being read."""
        return self._polling.posting

    @posting.setter
    def posting(self, value: bool) -> None:
        self._polling.posting = value

    async def poll(self, receive: Receive) -> list[Encoded] | None:
        """Wait for something to send and return it, or None when the client gave the poll up."""
        idle = not self._outbox and not self.closed and not self._probed
        if idle and not await self._polling.wait(receive):
            self.close(TRANSPORT_ERROR)
            return None
        if self._leaving and not self.upgraded:
            self._leave(*self._leaving)
        if self.closed:
            return [*self._outbox.take(), self.final_packet]
        if self.upgraded:
            return [frames.NOOP]
        return self._outbox.take() or [frames.NOOP]

    # Upgrade

    @property
    def upgrading(self) -> bool:
        """Whether a WebSocket is about to take over."""
        return self._upgrade is not None

    @contextlib.contextmanager
    def upgrade(self) -> Iterator[None]:
        """Mark the session as upgrading within the block, at whose end it either has a writer or goes on polling."""
        self._upgrade = self._loop.create_future()
        try:
            yield
        finally:
            self._upgrade.set_result(None)
            self._upgrade = None
            self._probed = False

    def probed(self) -> None:
        """The client waits for the end of its poll before it changes to WebSocket: end it, and any that follows."""
        self._probed = True
        self._polling.wake()

    async def settled(self) -> None:
        """Wait a moment for the upgrade packet of a client whose probe is answered.

        A poll that the client sends after that packet may be read first, for they are on two connections. Nothing waits
        before the probe is answered: stock clients upgrade only when their requests have been. The wait is in two parts
        because a timer that ran out while the process stood still fires before what arrived meanwhile is read.
        """
        for _ in range(2):
            if self._upgrade is not None and self._probed and not self.closed:
                await asyncio.wait({self._upgrade}, timeout=_UPGRADE_WAIT_SECONDS)

    # Receiving

    async def receive(self, packet: str | bytes) -> None:
        """Take one Engine.IO packet from the client; return when there is room for the next.

        Raises ``ProtocolError``.
        """
        if isinstance(packet, bytes):
            if not self.options.binary:
                raise ProtocolError("unexpected binary")
            await self._accept(packet, len(packet))
            return
        kind = packet[:1]
        if kind == "4":
            await self._accept(packet[1:], frames.text_size(packet))
        elif kind == "3":
            await self._throttled()
            if not self.closed:
                self._heartbeat.answered()
        elif packet == "1":
            self.final_packet = frames.NOOP
            self.close(CLIENT_DISCONNECT)
        else:
            raise ProtocolError("invalid frame")

    async def _accept(self, data: str | bytes, size: int) -> None:
        if size > self.options.max_payload:
            raise ProtocolError("too large")
        await self._throttled()
        item = self._owner.decode(self, data)
        if item is not None:
            self._inbox.put(item, frames.parsed_size(data) if isinstance(data, str) else size)

    async def _throttled(self) -> None:
        """Stop reading while the client is ahead of its rate or of its handlers; nothing is dropped."""
        delay = self._bucket.delay(self._loop.time()) if self._bucket else 0
        if not delay and not self._inbox.full:
            return
        self._heartbeat.hold()
        try:
            if delay:
                await asyncio.sleep(delay)
            await self._inbox.room()
        finally:
            self._heartbeat.resume()

    def enqueue(self, item: Any) -> None:
        """Have ``item`` handled like a message, behind all that has been received."""
        self._inbox.put(item)

    async def _handle(self, item: Any) -> None:
        await self._owner.handle(self, item)

    # Heartbeat

    @property
    def overdue(self) -> bool:
        """Whether the client should have answered a PING by now."""
        return self._heartbeat.overdue

    def _ping(self) -> None:
        self.send(frames.PING)

    def _unanswered(self) -> None:
        self.close(PING_TIMEOUT)

    # The end

    def close(self, reason: str, *, code: int = NORMAL, drop: bool = False) -> None:
        """End the session: its requests and its WebSocket are finished, then its disconnect is handled.

        ``drop``: do not wait for the peer, forget what was queued for it.
        """
        if self.closed:
            return
        self.closed = True
        self.code = code
        self.dropped = drop
        self._heartbeat.stop()
        current = asyncio.current_task()
        if drop:
            self._outbox.take()
            if self._drainer is not None and self._drainer is not current:
                self._drainer.cancel()
        self._polling.wake()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._owner.ended(self, reason)
        self._inbox.put(Closed(reason))

    def leave(self, reason: str, *, code: int = NORMAL) -> bool:
        """End the session if nothing is lost by it, or else with a poll that finds it so; return whether it has ended.

        Nothing is lost where all that was received is handled, and the answers are sent or go with the poll.
        """
        self._leaving = (reason, code)
        if self.polling if self._writer is None else self._drainer is None:
            self._leave(reason, code)
        return self.closed

    def _leave(self, reason: str, code: int) -> None:
        if self._upgrade is None and not self.posting and self._inbox.worker is None:
            self.close(reason, code=code)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Tie the current task to the session: when the session ends, the block is left."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.closed:
                self.close(TRANSPORT_ERROR)
                raise
            task.uncancel()
        except BaseException:
            self.close(TRANSPORT_ERROR)
            raise
        finally:
            self._tasks.discard(task)
