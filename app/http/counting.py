"""Counts and times the requests to the HTTP API, by route."""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import Final

from quart import Quart, Response, g, request

from app.http.answers import ERROR_CODE, JOIN_PATH
from app.http.routes import method_of, route_of
from app.observability.metrics import Metrics

__all__ = ["RequestCounts", "count_requests"]

_UNMATCHED: Final = "unmatched"


class RequestCounts:
    """Counts responses and times them."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = cache(metrics.http_requests.labels)
        self._seconds = cache(metrics.http_seconds.labels)
        self._joins = cache(metrics.joins.labels)
        self._exemplar = metrics.exemplar

    def count(self, method: str, route: str, status: int, result: str, seconds: float) -> None:
        """Count a response; ``method`` and ``route`` have few values, ``result`` is ``ok`` or an error code."""
        self._requests(method, route, status).inc()
        self._seconds(method, route).observe(seconds, self._exemplar())
        if route == JOIN_PATH and method == "POST":
            self._joins("http", result).inc()


def count_requests(app: Quart, counts: RequestCounts) -> None:
    """Register handlers that count the responses of ``app``."""

    @app.before_request
    async def begin() -> None:
        g.started = perf_counter()

    @app.after_request
    async def count(response: Response) -> Response:
        route = route_of(request.url_rule.rule) if request.url_rule else _UNMATCHED
        seconds = perf_counter() - g.started
        result = response.headers.get(ERROR_CODE, "ok")
        counts.count(method_of(request.method), route, response.status_code, result, seconds)
        return response
