"""Counts what the realtime engine tells."""

from __future__ import annotations

from app.observability.metrics import Metrics
from app.realtime.engine import Observer

__all__ = ["EngineMetrics"]


class EngineMetrics(Observer):
    """Counts into the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def opened(self, transport: str) -> None:
        self._metrics.handshakes.labels(transport).inc()
        self._metrics.connections.labels(transport).inc()

    def upgraded(self) -> None:
        self._metrics.connections.labels("polling").dec()
        self._metrics.connections.labels("websocket").inc()

    def closed(self, transport: str, reason: str) -> None:
        self._metrics.connections.labels(transport).dec()

    def refused(self, reason: str) -> None:
        self._metrics.refusals.labels(reason).inc()

    def violated(self, reason: str) -> None:
        self._metrics.refusals.labels(reason).inc()

    def slow(self) -> None:
        self._metrics.refusals.labels("slow").inc()
