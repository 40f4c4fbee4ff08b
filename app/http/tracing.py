"""Starts a trace for each request to the HTTP API; see docs/tracing.md."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.trace import Span, SpanKind, get_current_span
from quart import Quart, request

from app.http.routes import OTHER_METHOD, method_of, route_of
from app.observability.tracing import RESULT, Tracing, failed

__all__ = ["TracedRequests", "note_answer", "note_route", "request_span"]


class TracedRequests:
    """An ASGI application around Quart's. Spans are named after the route, not after the path."""

    def __init__(self, app: Quart, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing
        app.before_request(_name_by_route)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with request_span(self._tracing, method_of(scope["method"]), client.decode("latin-1")) as span:

            async def observed(message: Any) -> None:
                if message["type"] == "http.response.start":
                    headers = message["headers"]
                    result = next((value for name, value in headers if name.lower() == b"x-error-code"), b"ok")
                    note_answer(span, message["status"], result.decode())
                await send(message)

            await self._app(scope, receive, observed)


def request_span(tracing: Tracing, method: str, client: str) -> AbstractContextManager[Span]:
    """The span of a request; ``client``: its ``traceparent``, "" without one."""
    name = "HTTP" if method == OTHER_METHOD else method
    return tracing.root(name, SpanKind.SERVER, {"http.request.method": method}, client)


def note_route(span: Span, method: str, route: str) -> None:
    """Names the span of a request, once its route is known."""
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


def note_answer(span: Span, status: int, result: str) -> None:
    """Notes how a request has ended; ``result``: ``ok`` or the code of the error."""
    span.set_attribute("http.response.status_code", status)
    span.set_attribute(RESULT, result)
    if status >= 500:
        failed(span, result)


async def _name_by_route() -> None:
    if request.url_rule is not None:
        note_route(get_current_span(), request.method, route_of(request.url_rule.rule))
