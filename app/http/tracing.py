"""Starts a trace for each request to the HTTP API; see docs/tracing.md."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span, SpanKind, get_current_span
from quart import Quart, request

from app.http.routes import OTHER_METHOD, method_of, route_of
from app.observability.tracing import RESULT, Tracing, failed

__all__ = ["TracedRequests"]


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
        method = method_of(scope["method"])
        client = next((value for name, value in scope["headers"] if name == b"traceparent"), b"").decode("latin-1")
        name = "HTTP" if method == OTHER_METHOD else method
        with self._tracing.root(name, SpanKind.SERVER, {"http.request.method": method}, client) as span:

            async def observed(message: Any) -> None:
                if message["type"] == "http.response.start":
                    _note(span, message)
                await send(message)

            await self._app(scope, receive, observed)


async def _name_by_route() -> None:
    if request.url_rule is None:
        return
    span = get_current_span()
    route = route_of(request.url_rule.rule)
    span.update_name(f"{request.method} {route}")
    span.set_attribute("http.route", route)


def _note(span: Span, start: Any) -> None:
    status = start["status"]
    result = next((value for name, value in start["headers"] if name.lower() == b"x-error-code"), b"ok").decode()
    span.set_attribute("http.response.status_code", status)
    span.set_attribute(RESULT, result)
    if status >= 500:
        failed(span, result)
