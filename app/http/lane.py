"""Answers ``POST /api/session/join`` where HTTP is parsed, without ASGI and Quart.

The lane calls the same functions as Quart's route and hooks. Requests of an unusual form are left to Quart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

import httptools
from uvicorn._types import HTTPScope
from uvicorn.server import ServerState

from app.deadline import Deadline
from app.http.addresses import ClientAddresses
from app.http.answers import JOIN_PATH, Answer, bug_answer, error_answer
from app.http.bodies import BODY_TIMEOUT_SECONDS, token_of
from app.http.browser_headers import browser_headers
from app.http.capped import RequestCap
from app.http.counting import RequestCounts
from app.http.health import Health
from app.http.join import answer_join
from app.observability.logging import begin_request
from app.origins import AllowedOrigins
from app.sessions.errors import SessionError
from app.sessions.service import SessionService

if TYPE_CHECKING:
    from app.http.tracing import RequestSpans

__all__ = ["JoinCycle", "JoinLane"]

_METHOD: Final = "POST"
_TARGETS: Final = frozenset({JOIN_PATH.encode(), f"{JOIN_PATH}/".encode()})
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Flow(Protocol):
    """The back-pressure of a connection."""

    write_paused: bool

    async def drain(self) -> None:
        """Return when the client reads again."""


class Connection(Protocol):
    """The parts of uvicorn's HTTP protocol that the lane uses; the first four belong to the current request."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    scope: HTTPScope
    expect_100_continue: bool
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


class JoinLane:
    """The lane of one port.

    ``cap``: the limit of concurrent requests behind a proxy; ``drain_headers``: headers of responses while the replica
    drains; ``spans``: None if traces are off.
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
        self._cap = cap
        self._spans = spans
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
        counted_as = None if self._cap is None else self._cap.counted_as(connection.scope)
        if self._cap is not None and counted_as is not None and not self._cap.enter(counted_as):
            return None
        return JoinCycle(self, connection, fields, counted_as)

    async def answer(self, cycle: JoinCycle) -> Answer:
        """Answer a request. Failures are answers, too."""
        begin_request()
        if self._spans is None:
            return await self._answer(cycle)
        with self._spans.request(_METHOD, cycle.field("traceparent") or "") as span:
            self._spans.note_route(span, _METHOD, JOIN_PATH)
            answer = await self._answer(cycle)
            self._spans.note_answer(span, answer.status, answer.result)
        return answer

    async def _answer(self, cycle: JoinCycle) -> Answer:
        try:
            body = await cycle.read_body()
            client = self._client(self._addresses.address(cycle.scope))
            with Deadline(self._redis_timeout):
                answer = await answer_join(self._service, body, client, token_of(cycle.field("authorization")))
        except SessionError as error:
            answer = error_answer(error, joining=True)
        except Exception as error:
            answer = bug_answer(error, joining=True)
        seconds = perf_counter() - cycle.started
        self._counts.count(_METHOD, JOIN_PATH, answer.status, answer.result, seconds)
        answer.headers.update(browser_headers(self._allowed, cycle.field, ""))
        return answer

    def headers_besides(self) -> Sequence[tuple[str, str]]:
        """Return the headers of responses that depend on the state of the replica."""
        return self._drain_headers if self._health.draining else ()

    def leave(self, counted_as: str | None) -> None:
        """Count a request as done."""
        if self._cap is not None and counted_as is not None:
            self._cap.leave(counted_as)


class JoinCycle:
    """One request and its response, in place of uvicorn's ``RequestResponseCycle``.

    Uvicorn's protocol runs ``run_asgi``, sets the public attributes and then calls ``set``.
    """

    __slots__ = (
        "_body_read",
        "_connection",
        "_counted_as",
        "_fields",
        "_lane",
        "_task",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "started",
        "waiting_for_100_continue",
    )

    def __init__(
        self, lane: JoinLane, connection: Connection, fields: dict[bytes, bytes], counted_as: str | None
    ) -> None:
        self.started = perf_counter()
        self.scope = connection.scope
        self.body = b""
        self.more_body = True
        self.keep_alive = connection.parser.should_keep_alive()
        self.disconnected = self.response_started = self.response_complete = self.waiting_for_100_continue = False
        self._lane = lane
        self._connection = connection
        self._fields = fields
        self._counted_as = counted_as
        self._body_read: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def message_event(self) -> JoinCycle:
        """The event that uvicorn's protocol sets after it received a part of the body or lost the connection."""
        return self

    def set(self) -> None:
        if self.disconnected:
            if self._task is not None:
                self._task.cancel()
                self._task = None
        elif self._body_read is not None and not self.more_body and not self._body_read.done():
            self._body_read.set_result(None)

    def field(self, name: str) -> str | None:
        """Return a header of the request by its lower-case name."""
        value = self._fields.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def read_body(self) -> bytes:
        """Return the body when it is complete. Raise ``request-timeout`` if that takes too long."""
        if self.more_body:
            self._body_read = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                    await self._body_read
            except TimeoutError:
                raise SessionError("request-timeout") from None
        return self.body

    async def run_asgi(self, _app: object) -> None:
        self._task = asyncio.current_task()
        besides = self._lane.headers_besides()
        try:
            if not self.disconnected:
                answer = await self._lane.answer(self)
                if self._connection.flow.write_paused:
                    await self._connection.flow.drain()
            if not self.disconnected:
                self._write(answer, besides)
        except BaseException:
            if not self.disconnected:
                self._connection.transport.close()
            raise
        finally:
            self._task = None
            self._lane.leave(self._counted_as)

    def _write(self, answer: Answer, besides: Sequence[tuple[str, str]]) -> None:
        connection = self._connection
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
