"""Metrics of the Socket.IO server."""

from __future__ import annotations

from app.observability.metrics import TRANSPORTS, Metrics, label
from app.socketio_server import Observer

__all__ = ["EngineMetrics"]


class EngineMetrics(Observer):
    """Counts the events of the Socket.IO server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open = {transport: metrics.connections.labels(transport) for transport in TRANSPORTS}

    def opened(self, transport: str) -> None:
        self._metrics.handshakes.labels(transport, "opened").inc()
        self._open[transport].inc()

    def upgraded(self) -> None:
        self._open["polling"].dec()
        self._open["websocket"].inc()

    def closed(self, transport: str, reason: str) -> None:
        self._metrics.disconnects.labels(label(reason)).inc()
        self._open[transport].dec()

    def refused(self, reason: str) -> None:
        self._metrics.refusals.labels(label(reason)).inc()

    def handshake_refused(self, transport: str, reason: str) -> None:
        self._metrics.handshakes.labels(transport, label(reason)).inc()

    def violated(self, reason: str) -> None:
        self._metrics.violations.labels(label(reason)).inc()

    def connected(self, accepted: bool) -> None:
        self._metrics.connects.labels("accepted" if accepted else "refused").inc()

    def slow(self) -> None:
        self._metrics.slow_connections_closed.inc()

    def coalesced(self) -> None:
        self._metrics.coalesced_updates.inc()
