"""The internal port: probes, metrics and, if enabled, the operators' API. It must not be reachable from outside."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from quart import Quart, Response, request

from app.http.health import Health
from app.http.responses import answer, install_error_answers

__all__ = ["PROBES", "create_internal_app"]

PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""Paths of monitoring, which are served even when the port has no connections left."""


def create_internal_app(health: Health, registry: CollectorRegistry) -> Quart:
    """Return the application of the internal port.

    ``/healthz`` always answers 200. ``/readyz`` answers 503 until Redis has answered once and 200 from then on, also
    while Redis is unavailable or the replica drains. All replicas share Redis, so making them unready would only
    replace our JSON errors by those of the ingress. It answers 503 again while Redis refuses this replica and accepts
    another one. The body has the state.
    """
    app = Quart("join-session-internal", static_folder=None)
    app.url_map.strict_slashes = False
    install_error_answers(app)

    @app.get("/healthz")
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        return answer(health.state(), 200 if health.is_ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encoder(registry), content_type=content_type)

    return app
