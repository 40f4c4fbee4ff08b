"""The metrics of a replica for Prometheus; docs/metrics.md explains them.

A label has few values, and none that a client can choose. Callers replace unknown values by one word.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opentelemetry.trace import INVALID_SPAN, format_trace_id, get_current_span
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from app import __version__
from app.observability.logging import dropped_log_records
from app.observability.pauses import CollectorPauses

__all__ = ["TRANSPORTS", "Metrics", "label"]

TRANSPORTS: Final = ("polling", "websocket")

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SOCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)


class _DroppedLogRecords(Collector):
    """Exports the number of dropped log lines, which is counted once for the process."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Log records dropped because standard error was blocked."
        yield CounterMetricFamily("join_session_log_records_dropped", text, value=dropped_log_records())


class _Counter(Counter):
    """A counter without the library's lock and checks, which cost more than counting: the process has one thread."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        self._value._value += amount


class _Histogram(Histogram):
    """A histogram without them."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if exemplar is not None:
            super().observe(amount, exemplar)
            return
        self._sum._value += amount
        self._buckets[bisect_left(self._upper_bounds, amount)]._value += 1


class Metrics:
    """All metrics of one replica, in a registry of their own."""

    def __init__(self, *, traced: bool = True) -> None:
        """``traced``: whether there may be traces, to which exemplars link."""
        self.exemplar = _exemplar if traced else _no_exemplar
        # The ``_created`` series are of no use here; the library can disable them for the whole process only.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Info("join_session_build", "Version that is running.", registry=registry)
        build.info({"version": __version__})
        self._add_connections()
        self._add_sessions()
        self._add_delivery()
        self._add_requests()
        self._add_redis()
        self._add_webhooks()
        self._add_process()

    def _add_connections(self) -> None:
        self.connections = self._gauge("connections", "Open Engine.IO connections.", ["transport"])
        self.max_connections = self._gauge("max_connections", "Engine.IO connections that this replica takes.")
        self.handshakes = self._counter(
            "handshakes", "Requests for a new connection, by result.", ["transport", "result"]
        )
        self.handshake_pace = self._gauge(
            "handshake_pace", "New connections a second that the event loop keeps up with."
        )
        self.connects = self._counter("connects", "Socket.IO CONNECT packets answered.", ["result"])
        self.disconnects = self._counter("disconnects", "Connections that have ended.", ["reason"])
        self.refusals = self._counter("refusals", "Engine.IO requests answered with an error.", ["reason"])
        self.violations = self._counter(
            "violations", "Connections closed because their client violated the protocol.", ["reason"]
        )
        self.slow_connections = self._gauge(
            "slow_connections", "WebSockets with data that their client has not read yet."
        )
        self.slow_connections_closed = self._counter(
            "slow_connections_closed", "Connections closed because their client did not read."
        )
        self.forwarded = self._counter("forwarded", "Requests forwarded to other replicas, by result.", ["result"])
        _begin(self.connections, [(transport,) for transport in TRANSPORTS])
        _begin(self.handshakes, [(transport, "opened") for transport in TRANSPORTS])
        _begin(self.connects, [("accepted",), ("refused",)])
        _begin(self.refusals, [("unknown-session",)])
        _begin(self.forwarded, [("answered",), ("abandoned",), ("unknown",), ("unreachable",), ("severed",)])

    def _add_sessions(self) -> None:
        self.sessions = self._gauge("sessions", "Sessions with members at this replica.")
        self.members = self._gauge("members", "Sockets of this replica in a session.")
        self.participants = self._gauge("participants", "Participants with sockets at this replica.")
        self.live_sessions = self._gauge("live_sessions", "Sessions of the whole deployment.")
        self.max_sessions = self._gauge("max_sessions", "Maximum of live sessions.")
        self.joins = self._counter("joins", "Joins by way and result.", ["way", "result"])
        self.recoveries = self._counter("recoveries", "Sockets that reconnected with a recovery id.", ["result"])
        self.events = self._counter("events", "Events handled.", ["event", "result"])
        self.event_seconds = self._histogram(
            "event_duration_seconds", "From the start of an event's handling to its acknowledgement.", ["event"]
        )
        _begin(self.joins, [("socket", "ok"), ("http", "ok")])
        _begin(self.recoveries, [("recovered",), ("restored",), ("unknown",), ("void",), ("refused",), ("failed",)])

    def _add_delivery(self) -> None:
        self.update_sockets = self._histogram(
            "update_sockets", "Number of sockets that an update was sent to at once.", buckets=_SOCKETS
        )
        self.coalesced_updates = self._counter("coalesced_updates", "Pending updates replaced by a newer one.")
        self.commit_to_delivery = self._histogram(
            "commit_to_delivery_seconds", "From a commit in Redis until its update is written to the sockets."
        )
        self.version_lag = self._gauge("version_lag", "Versions by which the session furthest behind lags Redis.")
        self.gaps = self._counter("gaps", "Times that lost subscriptions were restored.")
        self.resyncs = self._counter("resyncs", "Sessions read again because something was missed.", ["cause"])
        self.announcements = self._counter("announcements", "Announcements of changes received.")
        self.pubsub_connections = self._gauge("pubsub_connections", "Open pub/sub connections.")
        self.pubsub_channels = self._gauge(
            "pubsub_channels", "Channels that this replica subscribes to, by state.", ["state"]
        )
        self.pubsub_connection_events = self._counter(
            "pubsub_connection_events", "Events of pub/sub connections.", ["event"]
        )
        _begin(self.resyncs, [("gap",), ("heartbeat",), ("loss",)])
        _begin(self.pubsub_connection_events, [("opened",), ("failed",), ("lost",)])

    def _add_requests(self) -> None:
        self.http_requests = self._counter("http_requests", "Requests to the HTTP API.", ["method", "route", "status"])
        self.http_seconds = self._histogram(
            "http_request_duration_seconds", "Handling time of requests to the HTTP API.", ["method", "route"]
        )

    def _add_redis(self) -> None:
        self.redis_up = self._gauge("redis_up", "1 if the last check of Redis succeeded, else 0.")
        self.redis_refused = self._gauge(
            "redis_refused", "1 if Redis refused this replica at the last check: password or rights, else 0."
        )
        self.redis_losses = self._counter("redis_losses", "Losses of data in Redis that were noticed.", ["what"])
        _begin(self.redis_losses, [("everything",), ("session",), ("changes",)])
        self.redis_seconds = self._histogram(
            "redis_command_duration_seconds", "Time of a call to Redis, including retries.", ["command"]
        )
        self.redis_errors = self._counter(
            "redis_errors", "Calls to Redis that failed after all retries.", ["command", "reason"]
        )

    def _add_webhooks(self) -> None:
        self.webhook_events = self._counter(
            "webhook_events", "Events for the receiver of webhooks, by result of an attempt.", ["result"]
        )
        self.webhook_age = self._gauge(
            "webhook_age_seconds", "Age of the oldest event that waits for the receiver of webhooks, else 0."
        )
        _begin(self.webhook_events, [("delivered",), ("failed",), ("dropped",)])

    def _add_process(self) -> None:
        self.registry.register(_DroppedLogRecords())
        self.event_loop_lag = self._histogram("event_loop_lag_seconds", "Delay of a timer of the event loop.")
        self.collector_pauses = CollectorPauses(
            "join_session_gc_pause_seconds", "Time for which a run of the garbage collector stops all work.", _SECONDS
        )
        self.registry.register(self.collector_pauses)
        self.memory_limit = self._gauge("memory_limit_bytes", "Memory that the replica may use, 0 without a limit.")
        self.memory_in_use = self._gauge("memory_in_use_bytes", "Memory in use, 0 without a limit.")
        self.draining = self._gauge("draining", "1 while the replica drains, else 0.")
        self.drain_seconds = self._gauge(
            "drain_duration_seconds", "Seconds since the drain began while connections remain, else 0."
        )
        self.drain_clients = self._gauge("drain_clients", "Open connections of a draining replica, else 0.")

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return _Counter(f"join_session_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"join_session_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        return _Histogram(f"join_session_{name}", text, labels, registry=self.registry, buckets=buckets)


def _exemplar() -> dict[str, str] | None:
    """Return labels that link a measurement to the current trace, if that trace is recorded.

    https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md#exemplars
    """
    span = get_current_span()
    if span is INVALID_SPAN:
        return None
    context = span.get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {"trace_id": format_trace_id(context.trace_id)}


def _no_exemplar() -> None:
    return None


def label(words: str) -> str:
    """Return ``words`` as the value of a label."""
    return words.replace(" ", "-")


def _begin(metric: Any, known: Sequence[tuple[str, ...]]) -> None:
    """Create series for known labels, so that they start at 0 and a rate includes the first event."""
    for values in known:
        metric.labels(*values)
