"""Starts a trace for each request to the HTTP API; see docs/tracing.md."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.trace import Span, SpanKind, get_current_span
from quart import Quart, request

from app.http.routes import OTHER_METHOD, method_of, route_of
from app.observability.tracing import RESULT, Tracing, failed

__all__ = ["RequestSpans", "TracedRequests"]


class RequestSpans:
    """The spans of requests."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def request(self, method: str, client: str) -> AbstractContextManager[Span]:
        """Begin the span of a request; ``client``: its ``traceparent`` or ""."""
        name = "HTTP" if method == OTHER_METHOD else method
        return self._tracing.root(name, SpanKind.SERVER, {"http.request.method": method}, client)

    def note_route(self, span: Span, method: str, route: str) -> None:
        """Name the span of a request by its route."""
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)

    def note_answer(self, span: Span, status: int, result: str) -> None:
        """Note the response; ``result`` is ``ok`` or the error code."""
        span.set_attribute("http.response.status_code", status)
        span.set_attribute(RESULT, result)
        if status >= 500:
            failed(span, result)


class TracedRequests:
    """An ASGI application around Quart's. Spans are named after the route, not after the path."""

    def __init__(self, app: Quart, spans: RequestSpans) -> None:
        self._app = app
        self._spans = spans
        app.before_request(self._name_by_route)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with self._spans.request(method_of(scope["method"]), client.decode("latin-1")) as span:

            async def observed(message: Any) -> None:
                if message["type"] == "http.response.start":
                    headers = message["headers"]
                    result = next((value for name, value in headers if name.lower() == b"x-error-code"), b"ok")
                    self._spans.note_answer(span, message["status"], result.decode())
                await send(message)

            await self._app(scope, receive, observed)

    async def _name_by_route(self) -> None:
        if request.url_rule is not None:
            self._spans.note_route(get_current_span(), request.method, route_of(request.url_rule.rule))
