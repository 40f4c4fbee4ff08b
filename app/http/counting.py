"""Counts and times the requests to the HTTP API, by route."""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import Final

from quart import Quart, Response, g, request

from app.http.routes import method_of, route_of
from app.observability.metrics import Metrics, exemplar

__all__ = ["count_requests"]

_UNMATCHED: Final = "unmatched"
_JOIN: Final = "sessions.joinSession"


def count_requests(app: Quart, metrics: Metrics) -> None:
    """Register handlers that count the responses of ``app``."""
    requests = cache(metrics.http_requests.labels)
    seconds = cache(metrics.http_seconds.labels)
    joins = cache(metrics.joins.labels)

    @app.before_request
    async def begin() -> None:
        g.started = perf_counter()

    @app.after_request
    async def count(response: Response) -> Response:
        method = method_of(request.method)
        route = route_of(request.url_rule.rule) if request.url_rule else _UNMATCHED
        requests(method, route, response.status_code).inc()
        seconds(method, route).observe(perf_counter() - g.started, exemplar())
        if request.endpoint == _JOIN and method == "POST":
            joins("http", response.headers.get("X-Error-Code", "ok")).inc()
        return response
