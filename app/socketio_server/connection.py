"""One Engine.IO session: what it sends, what it receives and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final, Protocol, cast

from app.socketio_server import endings, frames
from app.socketio_server.frames import Encoded, Outgoing, ProtocolError
from app.socketio_server.heartbeat import Heartbeats
from app.socketio_server.interfaces import Receive, Upgrade, WebSocket
from app.socketio_server.options import Options
from app.socketio_server.polling import PollingTransport
from app.socketio_server.queues import Closed, Inbox, Outbox

__all__ = ["Connection", "Owner"]

# Seconds in which the WebSocket of a closed session may still send what is queued.
_FLUSH_SECONDS: Final = 1.0


class Owner(Protocol):
    """The interface of the server for its sessions."""

    options: Options
    heartbeats: Heartbeats[Connection]
    decode: Callable[[Connection, str | bytes], Any]

    def websocket_opened(self, connection: Connection) -> None: ...
    async def handle(self, connection: Connection, item: Any) -> None: ...
    def violated(self, connection: Connection, error: ProtocolError) -> None: ...
    def ended(self, connection: Connection, reason: str) -> None: ...
    def slow(self, connection: Connection) -> None: ...
    def coalesced(self) -> None: ...


class Connection:
    """An Engine.IO session, over its current transport.

    ``remembered``: the data kept of the request that opened it. ``state``: data of the Socket.IO layer.
    ``final_packet``: the answer to a pending poll at the end. ``code``: the code of the WebSocket's close frame.
    ``upgrade``: a WebSocket that is about to take over. ``known``: the application was notified of the session.
    """

    __slots__ = (
        "__weakref__",
        "_catching_up",
        "_drainer",
        "_inbox",
        "_leaving",
        "_outbox",
        "_owner",
        "_polling",
        "_session",
        "_websocket",
        "_worker",
        "address",
        "closed",
        "code",
        "final_packet",
        "known",
        "options",
        "remembered",
        "sid",
        "state",
        "upgrade",
        "upgraded",
    )

    def __init__(self, owner: Owner, sid: str, address: str, remembered: Mapping[str, Any]) -> None:
        options = owner.options
        self.sid = sid
        self.address = address
        self.remembered = remembered
        self.state: Any = None
        self.closed = False
        self.known = False
        self.upgraded = False
        self.upgrade: Upgrade | None = None
        self.final_packet = frames.CLOSE
        self.code = endings.NORMAL
        self.options = options
        self._owner = owner
        self._session: dict[Any, Any] | None = None
        self._outbox = Outbox()
        self._inbox = Inbox(options)
        self._worker: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._websocket: WebSocket | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._polling: PollingTransport | None = None
        self._leaving: tuple[str, int] | None = None
        owner.heartbeats.start(self)

    @property
    def transport(self) -> str:
        """``polling`` or ``websocket``."""
        return "websocket" if self.upgraded else "polling"

    @property
    def session(self) -> dict[Any, Any]:
        """The application's data for the session."""
        if self._session is None:
            self._session = {}
        return self._session

    @property
    def worker(self) -> asyncio.Task[None] | None:
        """The task that currently handles messages of this session, if any."""
        return self._worker

    @property
    def unhandled(self) -> int:
        """The number of received messages that wait to be handled."""
        return len(self._inbox)

    @property
    def unsent(self) -> int:
        """The bytes queued for the client, without those in the transport's buffer."""
        return self._outbox.size

    # Sending

    def send(self, message: Outgoing, latest: Hashable | None = None) -> None:
        """Send ``message`` at once if the socket accepts it, else queue it, unmade if it is not made yet.

        Of queued messages with the same ``latest`` key only the newest is kept, at the end. With more than
        ``max_backlog`` bytes queued the session is closed; a closed one ignores the call.
        """
        if self.closed:
            return
        websocket = self._websocket
        # Where there is a WebSocket, something is queued as long as there is a drainer.
        if websocket is not None and self._drainer is None and websocket.writable():
            if made := frames.made(message):
                websocket.write(made)
            return
        if self._outbox.put(message, latest):
            self._owner.coalesced()
        if self._outbox.size > self.options.max_backlog:
            self._owner.slow(self)
            self.close(endings.TRANSPORT_ERROR, drop=True)
        elif websocket is not None:
            self._drain(websocket)
        else:
            self.wake_poll()

    def cork(self) -> None:
        """Send what is sent from now on together, once the event loop has handled what it receives next."""
        if self._websocket is not None:
            self._websocket.cork()

    def attach(self, websocket: WebSocket) -> None:
        """Make a WebSocket the session's transport, and send it the queued messages."""
        self.upgraded = True
        self._websocket = websocket
        self.wake_poll()
        if self._outbox:
            self._drain(websocket)

    def _drain(self, websocket: WebSocket) -> None:
        if self._drainer is None:
            self._drainer = asyncio.create_task(self._write_queued(websocket))

    async def _write_queued(self, websocket: WebSocket) -> None:
        try:
            while self._outbox:
                async with asyncio.timeout(self.options.write_timeout):
                    await websocket.ready()
                if self._outbox and (message := self._outbox.pop()):
                    websocket.write(message)
        except TimeoutError:
            self._owner.slow(self)
            self.close(endings.TRANSPORT_ERROR, drop=True)
        finally:
            self._drainer = None
            if self.closed:
                websocket.close(self.code)

    # Long-polling

    @property
    def polling(self) -> bool:
        """Whether a poll is waiting."""
        return self._polling is not None and self._polling.waiting

    @property
    def posting(self) -> bool:
        """Whether a POST is being read."""
        return self._polling is not None and self._polling.posting

    @contextlib.contextmanager
    def post(self) -> Iterator[None]:
        """Mark a POST as being read by the current task; if the session ends, the block is cancelled."""
        try:
            with self._polled().post():
                yield
        except asyncio.CancelledError:
            if not self.closed:
                self.close(endings.TRANSPORT_ERROR)
                raise
            cast("asyncio.Task[Any]", asyncio.current_task()).uncancel()
        except BaseException:
            self.close(endings.TRANSPORT_ERROR)
            raise

    async def poll(self, receive: Receive) -> list[Encoded] | None:
        """Wait for data to send and return it, or None if the client disconnected from the poll."""
        # A client whose probe was answered waits for the end of its poll before it upgrades.
        is_wanted = self.upgrade is not None and self.upgrade.is_answered
        idle = not self._outbox and not self.closed and not is_wanted
        if idle and not await self._polled().wait(receive):
            self.close(endings.TRANSPORT_ERROR)
            return None
        if self._leaving and not self.upgraded:
            self._leave(*self._leaving)
        if self.closed:
            return [*self._outbox.take(), self.final_packet]
        if self.upgraded:
            return [frames.NOOP]
        return self._outbox.take() or [frames.NOOP]

    def _polled(self) -> PollingTransport:
        self._polling = self._polling or PollingTransport()
        return self._polling

    def wake_poll(self) -> None:
        """End the waiting poll, if there is one."""
        if self._polling is not None:
            self._polling.wake()

    # Receiving

    def opened(self, websocket: WebSocket) -> None:
        """Start a session that was opened by a WebSocket."""
        self.attach(websocket)
        self._owner.websocket_opened(self)

    def received(self, message: str | bytes) -> bool:
        """Handle a packet from the WebSocket; return False if reading has to pause until ``read_on``."""
        if self.closed:
            return True
        try:
            self.receive(message)
        except ProtocolError as error:
            self._owner.violated(self, error)
        if self.closed or not self.ahead:
            return True
        self._catching_up = asyncio.create_task(self._read_on())
        return False

    def failed(self, code: int) -> None:
        """Handle that the WebSocket is closed with this code because the client violated its protocol."""
        if not self.closed:
            self._owner.violated(self, ProtocolError("too large" if code == endings.TOO_BIG else "invalid frame"))

    def lost(self) -> None:
        """Handle that the peer has closed the WebSocket or is gone."""
        self.close(endings.TRANSPORT_CLOSE)
        # Without a reference cycle the objects are freed at once.
        self._websocket = None

    def receive(self, packet: str | bytes) -> None:
        """Handle an Engine.IO packet from the client. Raises ``ProtocolError``."""
        if isinstance(packet, bytes):
            if not self.options.binary:
                raise ProtocolError("unexpected binary")
            self._accept(packet, len(packet))
            return
        kind = packet[:1]
        if kind == "4":
            self._accept(packet[1:], frames.text_size(packet))
        elif kind == "3":
            self._inbox.count(len(packet))
            self._owner.heartbeats.answered(self)
        elif packet == "1":
            self.final_packet = frames.NOOP
            self.close(endings.CLIENT_DISCONNECT)
        else:
            raise ProtocolError("invalid frame")

    @property
    def ahead(self) -> bool:
        """Whether the client exceeds its rate or its handlers lag: reading should pause until ``caught_up``."""
        return self._inbox.full

    async def caught_up(self) -> None:
        """Wait until reading may continue."""
        heartbeats = self._owner.heartbeats
        heartbeats.hold(self)
        try:
            await self._inbox.room()
        finally:
            if not self.closed:
                heartbeats.resume(self)

    async def _read_on(self) -> None:
        await self.caught_up()
        self._catching_up = None
        if self._websocket is not None:
            self._websocket.read_on()

    def _accept(self, data: str | bytes, size: int) -> None:
        if size > self.options.max_payload:
            raise ProtocolError("too large")
        item = self._owner.decode(self, data)
        self._inbox.count(size)
        if item is not None:
            self.enqueue(item, frames.parsed_size(data) if isinstance(data, str) else size)

    def enqueue(self, item: Any, size: int = 0) -> None:
        """Queue ``item``, which takes ``size`` bytes, to be handled after everything received before."""
        self._inbox.put(item, size)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Handle received items one after another. The task ends when none are left."""
        try:
            while self._inbox:
                await self._owner.handle(self, self._inbox.take())
        finally:
            self._worker = None

    # Heartbeat

    @property
    def overdue(self) -> bool:
        """Whether the client's answer to a PING is late."""
        return self._owner.heartbeats.is_overdue(self)

    def ping(self) -> None:
        """Send a PING."""
        self.send(frames.PING)

    def missed(self) -> None:
        """End the session of a client that has not answered a PING."""
        self.close(endings.PING_TIMEOUT)

    # The end

    def close(self, reason: str, *, code: int = endings.NORMAL, drop: bool = False) -> None:
        """End the session: finish its requests and its WebSocket, then handle its disconnect.

        ``drop``: do not wait for the peer, and discard the queued messages.
        """
        if self.closed:
            return
        self.closed = True
        self.code = code
        self._owner.heartbeats.stop(self)
        if self._polling is not None:
            self._polling.end()
        if self._catching_up is not None and self._catching_up is not asyncio.current_task():
            self._catching_up.cancel()
        if self.upgrade is not None:
            self.upgrade.session_closed(code)
        if drop:
            self._outbox = Outbox()
        if self._websocket is not None:
            self._end_websocket(self._websocket, drop=drop)
        self._owner.ended(self, reason)
        self.enqueue(Closed(reason))

    def _end_websocket(self, websocket: WebSocket, *, drop: bool) -> None:
        if drop:
            websocket.abort()
        elif self._drainer is None:
            websocket.close(self.code)
        else:
            # The drainer closes the WebSocket when it is done.
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._stop_draining, websocket)

    def _stop_draining(self, websocket: WebSocket) -> None:
        if self._drainer is not None:
            websocket.abort()

    def leave(self, reason: str, *, code: int = endings.NORMAL) -> bool:
        """End the session if nothing is lost, or let the next poll find it closed; return whether it has ended.

        Nothing is lost if everything received was handled, and the answers are sent or go out with the poll.
        """
        self._leaving = (reason, code)
        if self.polling if self._websocket is None else self._drainer is None:
            self._leave(reason, code)
        return self.closed

    def _leave(self, reason: str, code: int) -> None:
        if self.upgrade is None and not self.posting and self._worker is None:
            self.close(reason, code=code)
