"""Metrics and spans of rooms and sockets; see docs/metrics.md and docs/tracing.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Final, Literal

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from app.observability.losses import Losses
from app.observability.metrics import Metrics
from app.observability.tracing import RESULT, Tracing, failed
from app.sessions.errors import CATALOGUE
from app.sessions.operations import EVENTS

__all__ = ["Telemetry"]

_JOIN: Final = "join-session"
_UNTRACED: Final = nullcontext(INVALID_SPAN)


class Telemetry:
    """Counts what rooms, memberships and handlers do, and creates spans if ``tracing`` is given.

    ``now`` returns Redis's clock in Unix milliseconds. No method blocks or raises.
    """

    def __init__(
        self, metrics: Metrics, losses: Losses, now: Callable[[], int], tracing: Tracing | None = None
    ) -> None:
        self._metrics = metrics
        self._losses = losses
        self._now = now
        self._tracing = tracing
        self._events = cache(metrics.events.labels)
        self._seconds = cache(metrics.event_seconds.labels)
        self._joins = cache(metrics.joins.labels)
        self._exemplar = metrics.exemplar

    def connecting(self, auth: object) -> AbstractContextManager[Span]:
        """Return the span of a CONNECT, which begins a trace."""
        return self._receiving("connect", [auth])

    def receiving(self, event: str, arguments: Iterable[object]) -> AbstractContextManager[Span]:
        """Return the span of an event, which begins a trace. A client may send a ``traceparent`` to link to."""
        return self._receiving(event if event in EVENTS else "unknown-event", arguments)

    def disconnecting(self) -> AbstractContextManager[Span]:
        return self._receiving("disconnect", ())

    def acknowledged(self, span: Span, event: str, result: str, seconds: float) -> None:
        """Count an acknowledgement and set it on its span; ``result`` is ``ok`` or an error's code."""
        span.set_attribute(RESULT, result)
        if result != "ok" and CATALOGUE[result].status >= 500:
            failed(span, result)
        name = event if event in EVENTS else "unknown"
        self._events(name, result).inc()
        self._seconds(name).observe(seconds, self._exemplar())
        if name == _JOIN:
            self._joins("socket", result).inc()

    def recovery(self, result: Literal["recovered", "restored", "unknown", "void", "refused", "failed"]) -> None:
        """Count a connect with a recovery id. ``restored``: it is a member again, but missed updates."""
        self._metrics.recoveries.labels(result).inc()

    def delivering(self, announced: Sequence[str]) -> AbstractContextManager[Span]:
        """Return the span of sending changes to members; ``announced`` has their ``traceparent``s."""
        return _UNTRACED if self._tracing is None else self._tracing.delivery(announced)

    def delivered(self, sockets: int, commits: Sequence[int]) -> None:
        """Count a state that a room sent to ``sockets`` sockets.

        0 sockets: they had received it before the change was announced. ``commits``: the times of the changes, in Unix
        milliseconds of Redis's clock.
        """
        if sockets:
            self._metrics.update_sockets.observe(sockets)
        now, trace = self._now(), self._exemplar()
        for committed in commits:
            # The clocks differ slightly; a duration must not be negative.
            self._metrics.commit_to_delivery.observe(max(0, now - committed) / 1000, trace)

    def resynced(self, cause: Literal["gap", "heartbeat", "loss"]) -> None:
        """Count that a session is read again because something was missed or lost."""
        self._metrics.resyncs.labels(cause).inc()
        if cause == "loss":
            self._losses.note("changes")

    def session_lost(self) -> None:
        """Count a session that Redis has lost."""
        self._losses.note("session")

    def lagging(self, versions: int) -> None:
        """Set how many versions the session that is furthest behind Redis is behind."""
        self._metrics.version_lag.set(versions)

    def _receiving(self, event: str, arguments: Iterable[object]) -> AbstractContextManager[Span]:
        if self._tracing is None:
            return _UNTRACED
        attributes = {
            "messaging.system": "socket.io",
            "messaging.operation.name": "receive",
            "messaging.operation.type": "process",
            "join_session.event": event,
        }
        return self._tracing.root(f"receive {event}", SpanKind.CONSUMER, attributes, _traceparent(arguments))


def _traceparent(arguments: Iterable[object]) -> str | None:
    """Return the ``traceparent`` of a client (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    for argument in arguments:
        if isinstance(argument, dict) and isinstance(given := argument.get("traceparent"), str):
            return given
    return None
