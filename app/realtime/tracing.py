"""The handlers, with a span for each event that begins a trace; see docs/tracing.md."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.trace import Span, SpanKind

from app.observability.tracing import RESULT, Tracing, failed
from app.realtime.handlers import SocketHandlers
from app.sessions.answers import Ack, result_of
from app.sessions.errors import CATALOGUE
from app.sessions.operations import EVENTS

__all__ = ["TracedHandlers"]


class TracedHandlers(SocketHandlers):
    """A client may name its own trace by ``traceparent``, in the ``auth`` of the connection or an event's payload."""

    def __init__(self, *arguments: Any, tracing: Tracing, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tracing = tracing

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> dict[str, Any]:
        with self._span("connect", _traceparent([auth])):
            return await super()._connect(sid, environ, auth)

    async def _disconnect(self, sid: str, reason: str) -> None:
        with self._span("disconnect"):
            await super()._disconnect(sid, reason)

    async def _event(self, event: str, sid: str, *args: Any) -> Ack:
        with self._span(event if event in EVENTS else "unknown-event", _traceparent(args)) as span:
            ack = await super()._event(event, sid, *args)
            result = result_of(ack)
            span.set_attribute(RESULT, result)
            if not ack["ok"] and CATALOGUE[result].status >= 500:
                failed(span, result)
            return ack

    def _span(self, event: str, client: str | None = None) -> AbstractContextManager[Span]:
        attributes = {
            "messaging.system": "socket.io",
            "messaging.operation.name": "receive",
            "messaging.operation.type": "process",
            "join_session.event": event,
        }
        return self._tracing.root(f"receive {event}", SpanKind.CONSUMER, attributes, client)


def _traceparent(arguments: Any) -> str | None:
    """https://www.w3.org/TR/trace-context/#traceparent-header"""
    for argument in arguments:
        if isinstance(argument, dict) and isinstance(given := argument.get("traceparent"), str):
            return given
    return None
