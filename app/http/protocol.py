"""HTTP as uvicorn reads it, with bounds on a request's head and with errors of the kind that all others are."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http.handshake import asgi_handshake, asks_for_websocket, check_handshake, head_of, key_of, websocket_scope
from app.http.heads import MAX_FIELDS, MAX_HEAD_BYTES, begins_too_large, head_size, path_of
from app.http.idle import IdleTimer
from app.http.port import PortState, drop
from app.http.refusals import INVALID, LATE, TOO_LARGE, TOO_MANY, Refused, full

__all__ = ["HttpProtocol"]

# Bytes that may frame each byte of a chunked body: the smallest chunk has five.
_FRAMING: Final = 16
_HEAD_TIMEOUT_SECONDS: Final = 10.0
# For how long a client that was refused may go on sending, so that it gets to read why.
_LINGER_SECONDS: Final = 1.0
# Bytes of an answer that may wait for the client before that counts as not reading.
_MAX_UNREAD_BYTES: Final = 16_384
# For how long a port that closes waits for a client that does not read, or does not send the rest of a request.
_LAST_CHANCE_SECONDS: Final = 0.5
# Requests that may wait on a connection for their turn.
_MAX_PIPELINED: Final = 64


class _Flow(FlowControl):
    """Reads nothing on while requests wait for their turn."""

    def __init__(self, transport: asyncio.Transport, waiting: Any) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn bounds neither the head of a request nor the time that it takes to come, nor the requests that wait.

    It also takes every offer to change the protocol (``Upgrade``) for the end of HTTP, and drops what follows. Here
    only a WebSocket is one, where the port has WebSockets; others are ignored, as RFC 9110, section 7.8, allows.
    """

    server_state: PortState

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.address = ""
        self._is_counted = False
        self._is_reserve = False
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._keep_alive = IdleTimer(self.loop, self.timeout_keep_alive)
        self._running: RequestResponseCycle | None = None
        self._final_answer: bytes | None = None
        # Of the message that is being read.
        self._reads_head = True
        self._reads_body = False
        self._is_websocket = False
        self._host_count = 0
        self._trailer_count = 0
        self._body_bytes = 0
        # Bytes read for it that are not its body: at least those, where it came along with the message before.
        self._overhead = 0
        # Of what was read last: whether the message begins there, and its bytes without those of bodies.
        self._began = False
        self._segment = 0

    # asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self.address = self.client[0] if self.client else ""
        is_full = self.server_state.is_full()
        self._is_reserve = is_full and self.server_state.has_reserve()
        self._is_counted = (not is_full or self._is_reserve) and self.server_state.enter(self.address)
        if not self._is_counted:
            transport.write(full())
            transport.close()
            return
        # With 0 writing goes on when the client has read everything.
        transport.set_write_buffer_limits(_MAX_UNREAD_BYTES, 0)
        # The few places that a full port keeps are not to be held by whoever says nothing.
        self._set_deadline(_LINGER_SECONDS if self._is_reserve else _HEAD_TIMEOUT_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._keep_alive.close()
        self._end_wait()
        if self._is_counted:
            self.server_state.leave(self.address)
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._final_answer is not None:
            return
        self._keep_alive.stop()
        lane = self.server_state.lane if self._is_idle() else None
        if lane is not None and (cycle := lane.known(self, data)) is not None:
            self._answer_by(cycle)
            return
        self._segment = len(data)
        self._overhead += self._segment
        self._began = False
        refused = TOO_LARGE if not self._reads_body and begins_too_large(data) else self._feed(data)
        if refused is None and self._is_websocket:
            # The connection is another protocol's now: nothing that belongs to requests may be written to it.
            return
        refused = refused or self._excess(data)
        if refused is None and lane is not None:
            lane.learn(self.cycle, data)
        if refused is not None:
            self._refuse(refused)
        elif self._is_answering() and not self._reads_head:
            self._clear_deadline()
        elif self._deadline is None:
            self._set_deadline(_HEAD_TIMEOUT_SECONDS)

    def eof_received(self) -> None:
        super().eof_received()
        self._close_in_time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_wait()
        self._write_deadline = self.loop.call_later(self.server_state.limits.write_timeout, drop, self.transport)
        self.server_state.wait(self)

    def resume_writing(self) -> None:
        self._end_wait()
        super().resume_writing()

    # httptools

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads_head = self._began = True
        self._is_websocket = False
        self._host_count = self._trailer_count = self._body_bytes = 0
        self._overhead = self._segment

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._reads_head:
            # Behind a chunked body: nothing here reads such fields, and no request may change while it is served.
            self._trailer_count += 1
            if self._trailer_count > MAX_FIELDS:
                raise Refused(TOO_LARGE)
            return
        name = name.lower()
        if name == b"host":
            self._host_count += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_FIELDS or (
            self._overhead > MAX_HEAD_BYTES and head_size(self.url, self.headers) > MAX_HEAD_BYTES
        ):
            raise Refused(TOO_LARGE)
        # RFC 9112, section 3.2.
        if self._host_count != 1 and (self._host_count or self.parser.get_http_version() != "1.0"):
            raise Refused(INVALID)
        if self._is_reserve and path_of(self.url) not in self.server_state.limits.served_when_full:
            raise Refused(full())
        if self.parser.should_upgrade():
            is_its_path = path_of(self.url).rstrip("/") == self.server_state.limits.websocket_path.rstrip("/")
            if is_its_path and asks_for_websocket(self.parser, self.headers):
                # The transport tells its protocol only once that a client does not read.
                if self._is_answering() or self.flow.write_paused:
                    raise Refused(INVALID)
                check_handshake(self.headers)
                self._is_websocket = True
            # The parser stops behind the head: see `_feed`.
            return
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise Refused(TOO_MANY)
        self._reads_head = False
        self._reads_body = True
        lane = None if self._is_answering() else self.server_state.lane
        if lane is not None and (cycle := lane.cycle(self)) is not None:
            self._answer_by(cycle)
        else:
            super().on_headers_complete()
        if self._is_reserve:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._body_bytes += size
        self._overhead -= size
        self._segment -= size
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._reads_head:
            return
        self._reads_body = False
        super().on_message_complete()

    # uvicorn

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            if self.transport.is_closing():
                self._close_in_time()
            return
        # All that uvicorn does, but for its timer.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._keep_alive.start(self.timeout_keep_alive_handler)
        if self._final_answer is not None:
            self._send_final_answer()
        elif self._reads_body:
            # The client has its answer and has not said all.
            self._set_deadline(_HEAD_TIMEOUT_SECONDS)

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self._close_in_time()
        elif self._reads_body:
            self._set_deadline(_LAST_CHANCE_SECONDS)
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = self.loop.call_later(_LAST_CHANCE_SECONDS, drop, self.transport)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close_in_time()

    # Reading

    def _feed(self, data: bytes) -> bytes | None:
        """Has the parser read; returns the answer to what it does not take."""
        rest = data
        while True:
            try:
                self.parser.feed_data(rest)
                return None
            except httptools.HttpParserUpgrade as upgrade:
                offset: int = upgrade.args[0]
            except httptools.HttpParserError as error:
                return error.__context__.answer if isinstance(error.__context__, Refused) else INVALID
            if self._is_websocket:
                self._begin_websocket(rest[offset:])
                return None
            if self.parser.get_method() == b"CONNECT":
                return INVALID
            rest = self._without_offer(rest[offset:])

    def _excess(self, data: bytes) -> bytes | None:
        """The answer to a head, or to what frames a body, that has not ended within its bounds."""
        if not self._reads_head:
            return TOO_LARGE if self._overhead > 2 * MAX_HEAD_BYTES + _FRAMING * self._body_bytes else None
        if self._began and self._overhead > MAX_HEAD_BYTES:
            # Without what belongs to the messages before.
            self._overhead = max(0, len(data) - (data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0))
        return TOO_LARGE if self._overhead > MAX_HEAD_BYTES or len(self.headers or ()) > MAX_FIELDS else None

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _is_idle(self) -> bool:
        """Whether nothing of a request has come since the last one was answered."""
        return not (self._reads_head or self._reads_body or self._deadline or self._is_answering())

    def _answer_by(self, cycle: Any) -> None:
        self.cycle = self._running = cycle
        cycle.start()

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self._is_late)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_late(self) -> None:
        self._deadline = None
        if self._final_answer is not None or not self._reads_head:
            self.transport.abort()
        else:
            self._refuse(LATE)

    def _close_in_time(self) -> None:
        """A transport that is closing waits until its client has read everything."""
        if self._write_deadline is None and self.transport.get_write_buffer_size():
            timeout = self.server_state.limits.write_timeout
            self._write_deadline = self.loop.call_later(timeout, drop, self.transport)

    def _end_wait(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
            self.server_state.read(self)

    # Refusing

    def _refuse(self, answer: bytes) -> None:
        """Answers for the last time, in its turn, and closes the connection."""
        if self.transport.is_closing():
            return
        self._final_answer = answer
        self._clear_deadline()
        if self._reads_body and not self.cycle.response_complete:
            # It is the answer to a request whose body is wrong.
            self.cycle.disconnected = True
            # It would be said when the application comes to read the body.
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
            if self.cycle is self._running:
                self._send_final_answer()
                return
            self.pipeline.popleft()
        if not self._is_answering():
            self._send_final_answer()

    def _send_final_answer(self) -> None:
        self._keep_alive.close()
        if self._running is not None and self._running.response_started and not self._running.response_complete:
            self.transport.close()
            self._close_in_time()
            return
        if self._final_answer is not None:
            self.transport.write(self._final_answer)
        # Closing at once would reset the connection where something is unread, and the answer be lost with it.
        self.transport.write_eof()
        self._set_deadline(_LINGER_SECONDS)

    # Other protocols

    def _without_offer(self, rest: bytes) -> bytes:
        """The message whose head offers another protocol, to be parsed again: the parser skips the body of such one."""
        method = self.parser.get_method()
        version = self.parser.get_http_version().encode()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        fields = [field for field in self.headers if field[0] != b"upgrade"]
        head = head_of(b"%s %s HTTP/%s" % (method, self.url, version), fields)
        self._segment = len(head) + len(rest)
        return head + rest

    def _begin_websocket(self, rest: bytes) -> None:
        self._clear_deadline()
        self._keep_alive.close()
        self._end_wait()
        state = self.server_state
        url = httptools.parse_url(self.url)
        successor = state.take_over(websocket_scope(url, self.headers, self.client)) if state.take_over else None
        if isinstance(successor, bytes):
            self.transport.write(successor)
            self.transport.close()
            return
        self.connections.discard(self)
        # Whoever has the connection now is counted, without this object, which would keep the head.
        self._is_counted = False
        self.transport.set_write_buffer_limits()
        if successor is None:
            self._begin_asgi_websocket(asgi_handshake(url, self.headers) + rest)
            return
        # The parser refers to this object, and this to the parser.
        self.parser = None  # type: ignore[assignment]
        on_lost = state.succeed(successor, self.address)
        successor.take_over(self.transport, key_of(self.headers), state.default_headers, rest, on_lost)

    def _begin_asgi_websocket(self, data: bytes) -> None:
        protocol: Any = self.config.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.on_lost = partial(self.server_state.leave, self.address)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.data_received(data)
        if not protocol.handshake_initiated:
            # The library takes no field of more than 8 KiB.
            self.transport.write(TOO_LARGE)
            self.transport.close()
