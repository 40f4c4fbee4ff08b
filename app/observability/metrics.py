"""What this replica counts, in Prometheus's terms."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from app import __version__

__all__ = ["Metrics"]


class Metrics:
    """All metrics of one replica, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.build = Info("join_session_build", "Version that is running.", registry=self.registry)
        self.build.info({"version": __version__})
        self.connections = Gauge(
            "join_session_connections", "Open client connections.", ["transport"], registry=self.registry
        )
        self.handshakes = Counter(
            "join_session_handshakes_total", "Connections opened.", ["transport"], registry=self.registry
        )
        self.refusals = Counter(
            "join_session_refusals_total",
            "Requests and connections refused or ended for what they sent.",
            ["reason"],
            registry=self.registry,
        )
        self.joins = Counter(
            "join_session_joins_total", "Joins by way and result.", ["way", "result"], registry=self.registry
        )
        self.forwarded = Counter(
            "join_session_forwarded_total",
            "Requests for sessions of other replicas, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.redis_up = Gauge("join_session_redis_up", "Whether Redis answered last.", registry=self.registry)
        self.draining = Gauge(
            "join_session_draining", "Whether the replica sends its clients away.", registry=self.registry
        )
