"""Metrics and traces of what happens in rooms and on sockets; see docs/metrics.md and docs/tracing.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Final, Literal

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from app.observability.metrics import Metrics, exemplar
from app.observability.tracing import RESULT, Tracing, failed
from app.sessions.errors import CATALOGUE
from app.sessions.operations import EVENTS

__all__ = ["Telemetry"]

_JOIN: Final = "join-session"
_UNTRACED: Final = nullcontext(INVALID_SPAN)


class Telemetry:
    """Is told what rooms, memberships and handlers do: it counts, and makes spans where ``tracing`` is given.

    ``now``: Redis's clock, Unix milliseconds. No method waits or raises.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], int], tracing: Tracing | None = None) -> None:
        self._metrics = metrics
        self._now = now
        self._tracing = tracing
        self._events = cache(metrics.events.labels)
        self._seconds = cache(metrics.event_seconds.labels)
        self._joins = cache(metrics.joins.labels)

    def connecting(self, auth: object) -> AbstractContextManager[Span]:
        """Return the span of a CONNECT, which begins a trace."""
        return self._receiving("connect", [auth])

    def receiving(self, event: str, arguments: Iterable[object]) -> AbstractContextManager[Span]:
        """Return the span of an event, which begins a trace; the client may name its own by ``traceparent``."""
        return self._receiving(event if event in EVENTS else "unknown-event", arguments)

    def disconnecting(self) -> AbstractContextManager[Span]:
        return self._receiving("disconnect", ())

    def acknowledged(self, span: Span, event: str, result: str, seconds: float) -> None:
        """An event of the span was acknowledged: with ``ok``, or the code of an error."""
        span.set_attribute(RESULT, result)
        if result != "ok" and CATALOGUE[result].status >= 500:
            failed(span, result)
        name = event if event in EVENTS else "unknown"
        self._events(name, result).inc()
        self._seconds(name).observe(seconds, exemplar())
        if name == _JOIN:
            self._joins("socket", result).inc()

    def recovery(self, result: Literal["recovered", "restored", "unknown", "void", "refused", "failed"]) -> None:
        """A socket came with a recovery id. ``restored``: its membership was, but it has missed something."""
        self._metrics.recoveries.labels(result).inc()

    def delivering(self, announced: Sequence[str]) -> AbstractContextManager[Span]:
        """Return the span of showing members changes; ``announced``: the ``traceparent`` of each that has one."""
        return _UNTRACED if self._tracing is None else self._tracing.delivery(announced)

    def delivered(self, sockets: int, commits: Sequence[int]) -> None:
        """A room has shown its newest state to sockets, or had done so before a change was announced (0).

        ``commits``: when what they see was changed, Unix milliseconds by Redis's clock.
        """
        if sockets:
            self._metrics.update_sockets.observe(sockets)
        now, trace = self._now(), exemplar()
        for committed in commits:
            # Two clocks that differ by a millisecond must not make it look as if time went backwards.
            self._metrics.commit_to_delivery.observe(max(0, now - committed) / 1000, trace)

    def resynced(self, cause: Literal["gap", "heartbeat", "loss"]) -> None:
        """A session is read again because something was missed, or is lost."""
        self._metrics.resyncs.labels(cause).inc()

    def lagging(self, versions: int) -> None:
        """The session that is furthest behind Redis here is ``versions`` behind."""
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
