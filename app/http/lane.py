"""Answers ``POST /api/session/join`` where HTTP is parsed, without ASGI and Quart.

The lane calls the same functions as Quart's route and hooks. Requests of an unusual form are left to Quart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import httptools
from uvicorn.server import ServerState

from app.deadline import Deadline
from app.http.addresses import ClientAddresses
from app.http.answers import JOIN_PATH, Answer, bug_answer, compressed, error_answer
from app.http.bodies import BODY_TIMEOUT_SECONDS, token_of
from app.http.browser_headers import browser_headers
from app.http.bucket_cookie import BucketCookie
from app.http.capped import RequestCap
from app.http.counting import RequestCounts
from app.http.health import Health
from app.http.join import answer_join
from app.observability.logging import begin_request, log_bug
from app.origins import AllowedOrigins
from app.sessions.errors import SessionError
from app.sessions.service import SessionService

if TYPE_CHECKING:
    from app.http.tracing import RequestSpans

__all__ = ["JoinCycle", "JoinLane"]

_METHOD: Final = "POST"
_MAX_KNOWN_HEADS: Final = 1024
_MAX_KNOWN_HEAD_BYTES: Final = 1024
_TARGETS: Final = frozenset({JOIN_PATH.encode(), f"{JOIN_PATH}/".encode()})
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

_logger = logging.getLogger(__name__)


class Flow(Protocol):
    """The back-pressure of a connection."""

    write_paused: bool

    async def drain(self) -> None:
        """Return when the client reads again."""


class Connection(Protocol):
    """The parts of uvicorn's HTTP protocol that the lane uses; the first three belong to the current request."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    expect_100_continue: bool
    client: tuple[str, int] | None
    loop: asyncio.AbstractEventLoop
    parser: httptools.HttpRequestParser
    transport: asyncio.Transport

    @property
    def flow(self) -> Flow:
        """The back-pressure."""

    @property
    def server_state(self) -> ServerState:
        """The state of the port."""

    def on_response_complete(self) -> None:
        """End the current request, after its response was written."""


class Head(NamedTuple):
    """The head of a request; the first of several fields with one name is in ``fields``."""

    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    keep_alive: bool
    body_size: int


class JoinLane:
    """The lane of one port.

    ``compression``: whether large answers are compressed; ``cap``: the limit of concurrent requests behind a proxy;
    ``drain_headers``: headers of responses while the replica drains; ``bucket_cookie``: set for who joins;
    ``spans``: None if traces are off.
    """

    def __init__(
        self,
        service: SessionService,
        addresses: ClientAddresses,
        counts: RequestCounts,
        health: Health,
        *,
        body_limit: int,
        redis_timeout: float,
        allowed_origins: Sequence[str],
        drain_headers: Sequence[tuple[str, str]],
        bucket_cookie: BucketCookie | None,
        compression: bool,
        cap: RequestCap | None,
        spans: RequestSpans | None,
    ) -> None:
        self._service = service
        self._addresses = addresses
        self._counts = counts
        self._health = health
        self._body_limit = body_limit
        self._redis_timeout = redis_timeout
        self._allowed = AllowedOrigins(allowed_origins)
        self._drain_headers = drain_headers
        self._bucket_cookie = bucket_cookie
        self._compression = compression
        self._cap = cap
        self._spans = spans
        self.known_heads: dict[bytes, Head] = {}
        self._client = lru_cache(maxsize=1024)(addresses.client_of)

    def cycle(self, connection: Connection) -> JoinCycle | None:
        """Return the cycle that answers the current request of ``connection``, None if it is left to Quart."""
        if connection.url not in _TARGETS or connection.expect_100_continue:
            return None
        parser = connection.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        # The first of several fields with one name counts, as in Quart.
        fields = dict(reversed(connection.headers))
        length = fields.get(b"content-length")
        if length is None or int(length) > self._body_limit or b"transfer-encoding" in fields:
            return None
        return self._cycle(connection, Head(connection.headers, fields, parser.should_keep_alive(), int(length)))

    def known(self, connection: Connection, data: bytes) -> JoinCycle | None:
        """Return the cycle that answers ``data``, if it is one whole request with a head that was parsed before."""
        end = data.find(b"\r\n\r\n") + 4
        # If the head has no end yet, these are three bytes, which no head is.
        head = self.known_heads.get(data[:end])
        if head is None or len(data) - end != head.body_size:
            return None
        cycle = self._cycle(connection, head)
        if cycle is not None:
            cycle.body, cycle.more_body = data[end:], False
        return cycle

    def learn(self, cycle: object, data: bytes) -> None:
        """Remember the head of ``data``, if that is the whole request of ``cycle``."""
        # A response that is complete belongs to a request before ``data``.
        if not isinstance(cycle, JoinCycle) or cycle.more_body or cycle.response_complete:
            return
        end = data.find(b"\r\n\r\n") + 4
        if end > _MAX_KNOWN_HEAD_BYTES or len(data) - end != cycle.head.body_size:
            return
        if len(self.known_heads) >= _MAX_KNOWN_HEADS:
            del self.known_heads[next(iter(self.known_heads))]
        self.known_heads[data[:end]] = cycle.head

    def _cycle(self, connection: Connection, head: Head) -> JoinCycle | None:
        if self._cap is None:
            return JoinCycle(self, connection, head, None)
        counted_as = self._cap.counted_as({"client": connection.client, "headers": head.headers})
        if counted_as is not None and not self._cap.enter(counted_as):
            return None
        return JoinCycle(self, connection, head, counted_as)

    async def serve(self, cycle: JoinCycle) -> None:
        """Answer a request and write the response."""
        begin_request()
        drain_headers = self._drain_headers if self._health.draining else ()
        try:
            answer = await (self._answer(cycle) if self._spans is None else self._traced(cycle, self._spans))
            await cycle.write(answer, drain_headers)
        except asyncio.CancelledError:
            # The client has gone, or the replica stops.
            cycle.abandon()
            raise
        except Exception as error:
            log_bug(_logger, "unexpected error in a response", error)
            cycle.abandon()

    async def _traced(self, cycle: JoinCycle, spans: RequestSpans) -> Answer:
        with spans.request(_METHOD, cycle.field("traceparent") or "") as span:
            answer = await self._answer(cycle)
            if span.is_recording():
                spans.note_route(span, _METHOD, JOIN_PATH)
                spans.note_answer(span, answer.status, answer.result)
        return answer

    async def _answer(self, cycle: JoinCycle) -> Answer:
        try:
            body = await cycle.read_body()
            client = self._client(self._addresses.address({"client": cycle.client, "headers": cycle.head.headers}))
            with Deadline(self._redis_timeout):
                token = token_of(cycle.field("authorization"))
                answer = await answer_join(self._service, body, client, token, self._bucket_cookie)
        except SessionError as error:
            answer = error_answer(error, joining=True)
        except Exception as error:
            answer = bug_answer(error, joining=True)
        seconds = perf_counter() - cycle.started
        self._counts.count(_METHOD, JOIN_PATH, answer.status, answer.result, seconds)
        if self._compression:
            answer = compressed(answer, cycle.field("accept-encoding"))
        vary, cookies = answer.headers.get("vary"), self._bucket_cookie is not None
        answer.headers.update(browser_headers(self._allowed, cycle.field, "", vary, cookies=cookies))
        return answer

    def leave(self, counted_as: str) -> None:
        """Count a request of an address as done."""
        if self._cap is not None:
            self._cap.leave(counted_as)


class JoinCycle:
    """One request and its response, in place of uvicorn's ``RequestResponseCycle``.

    Uvicorn's protocol sets the public attributes and then calls ``set``.
    """

    __slots__ = (
        "_body_read",
        "_connection",
        "_counted_as",
        "_lane",
        "_task",
        "body",
        "disconnected",
        "head",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "started",
        "waiting_for_100_continue",
    )

    def __init__(self, lane: JoinLane, connection: Connection, head: Head, counted_as: str | None) -> None:
        self.started = perf_counter()
        self.head = head
        self.body = b""
        self.more_body = True
        self.keep_alive = head.keep_alive
        self.disconnected = self.response_started = self.response_complete = self.waiting_for_100_continue = False
        self._lane = lane
        self._connection = connection
        self._counted_as = counted_as
        self._body_read: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer of the connection."""
        return self._connection.client

    @property
    def message_event(self) -> JoinCycle:
        """The event that uvicorn's protocol sets after it received a part of the body or lost the connection."""
        return self

    def set(self) -> None:
        """End the request if the connection is lost, or note that its body is complete."""
        if self.disconnected:
            if self._task is not None:
                self._task.cancel()
                self._task = None
        elif self._body_read is not None and not self.more_body and not self._body_read.done():
            self._body_read.set_result(None)

    def field(self, name: str) -> str | None:
        """Return a header of the request by its lower-case name."""
        value = self.head.fields.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def read_body(self) -> bytes:
        """Return the body when it is complete. Raise ``request-timeout`` if that takes too long."""
        if self.more_body:
            self._body_read = self._connection.loop.create_future()
            try:
                async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                    await self._body_read
            except TimeoutError:
                raise SessionError("request-timeout") from None
        return self.body

    def start(self) -> None:
        """Begin to answer the request, in a context of its own."""
        self._task = self._connection.loop.create_task(self._lane.serve(self), context=Context())
        if self._counted_as is not None:
            # Not by the task itself, which may be cancelled before it has begun.
            self._task.add_done_callback(self._leave)

    def abandon(self) -> None:
        """Close the connection, unless the response is complete."""
        if not self.response_complete:
            self._connection.transport.close()

    async def write(self, answer: Answer, besides: Sequence[tuple[str, str]]) -> None:
        """Write the response, with some headers besides those of the answer."""
        connection = self._connection
        if connection.flow.write_paused:
            await connection.flow.drain()
        text = "".join([f"{name}: {value}\r\n" for name, value in [*answer.headers.items(), *besides]])
        if besides or "connection" in answer.headers:
            # Both have the field that announces the close.
            self.keep_alive = False
        elif not self.keep_alive:
            text += "connection: close\r\n"
        dated = b"".join([b"%b: %b\r\n" % field for field in connection.server_state.default_headers])
        self.response_started = self.response_complete = True
        head = b"%b%b%b\r\n" % (_STATUS_LINES[answer.status], dated, text.encode("latin-1"))
        connection.transport.write(head + answer.body)
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    def _leave(self, _task: object) -> None:
        if self._counted_as is not None:
            self._lane.leave(self._counted_as)
