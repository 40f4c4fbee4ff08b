"""Counts what the engine, the rooms and the handlers tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from app.observability.metrics import TRANSPORTS, Metrics, exemplar, label
from app.realtime.observer import Observer
from app.socketio_server import Observer as ServerObserver

__all__ = ["EngineMetrics", "RoomMetrics"]

_JOIN: Final = "join-session"


class EngineMetrics(ServerObserver):
    """Counts what the engine tells."""

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


class RoomMetrics(Observer):
    """Counts what rooms and handlers tell. ``now``: Redis's clock, Unix milliseconds."""

    def __init__(self, metrics: Metrics, now: Callable[[], int]) -> None:
        self._metrics = metrics
        self._now = now
        self._events = cache(metrics.events.labels)
        self._seconds = cache(metrics.event_seconds.labels)
        self._joins = cache(metrics.joins.labels)

    def handled(self, event: str, result: str, seconds: float) -> None:
        self._events(event, result).inc()
        self._seconds(event).observe(seconds, exemplar())
        if event == _JOIN:
            self._joins("socket", result).inc()

    def recovery(self, result: str) -> None:
        self._metrics.recoveries.labels(result).inc()

    def delivered(self, sockets: int, commits: Sequence[int]) -> None:
        if sockets:
            self._metrics.update_sockets.observe(sockets)
        now, trace = self._now(), exemplar()
        for committed in commits:
            # Two clocks that differ by a millisecond must not make it look as if time went backwards.
            self._metrics.commit_to_delivery.observe(max(0, now - committed) / 1000, trace)

    def resynced(self, cause: str) -> None:
        self._metrics.resyncs.labels(cause).inc()

    def lagging(self, versions: int) -> None:
        self._metrics.version_lag.set(versions)
