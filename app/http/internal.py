"""The internal port: probes and metrics, and where they are wanted the operators' routes. No ingress may lead to it."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from quart import Quart, Response, request

from app.http.answers import answer, install_error_answers
from app.http.health import Health

__all__ = ["PROBES", "create_internal_app"]

PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""The paths by which a replica is watched."""


def create_internal_app(health: Health, registry: CollectorRegistry) -> Quart:
    """The application of the internal port.

    ``/healthz`` answers while the process can; ``/readyz`` is 503 until the first contact with Redis and 200 from then
    on, also while Redis is unavailable or the replica drains: all replicas share Redis, so unready pods would only
    turn our JSON answers into the ingress's. The state is in the body.
    """
    app = Quart("join-session-internal", static_folder=None)
    app.url_map.strict_slashes = False
    install_error_answers(app)

    @app.get("/healthz")
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        return answer(health.state(), 200 if health.contacted else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encoder(registry), content_type=content_type)

    return app
