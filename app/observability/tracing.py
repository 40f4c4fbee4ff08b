"""Traces with OpenTelemetry; docs/tracing.md lists the spans.

If traces are enabled, the composition root creates a ``Tracing`` and passes it to the modules that create spans
(``app.http.tracing``, ``app.realtime.telemetry``, ``app.redis_client.tracing``, ``app.store.steps``). Otherwise none of
this code runs. Data from clients must not become the name of a span, an attribute or a status, not even in the text of
an error.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__

__all__ = ["RESULT", "Attributes", "Tracing", "failed"]

Attributes = Mapping[str, str | int | bool]
Reason = Callable[[BaseException], str]

RESULT: Final = "join_session.result"

_SERVICE: Final = "join-session"
_MAX_TRACEPARENT_CHARACTERS: Final = 64
_LAST_BATCH_SECONDS: Final = 3.0
_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()
_NO_PARENT: Final = Context()
_UNTRACED: Final = nullcontext(INVALID_SPAN)

_logger = logging.getLogger(__name__)


class Tracing:
    """Creates spans and exports them from a background thread; the variables ``OTEL_*`` configure the export.

    A full queue drops spans: exporting never delays a request. ``replica`` becomes ``service.instance.id``.
    """

    def __init__(self, replica: str) -> None:
        # Imported here because the SDK and its exporter take a tenth of a second and 10 MB, also without traces.
        from app.observability.trace_export import exporting_provider

        self._provider = exporting_provider(_SERVICE, replica)
        self._tracer = self._provider.get_tracer(_SERVICE, __version__)

    def root(
        self, name: str, kind: SpanKind, attributes: Attributes, client: str | None = None
    ) -> AbstractContextManager[Span]:
        """Return a span that begins a trace. ``client``: the W3C ``traceparent`` that a client sent; it becomes a link.

        If it were the parent, any client could force its requests to be recorded. Its ``tracestate`` is ignored.
        """
        links = [Link(context)] if client and (context := _context(client)) else []
        span = self._tracer.start_span(name, _NO_PARENT, kind, attributes, links)
        if span.is_recording():
            return _ending(span, _class_name)
        # Nothing to make current: most requests are not recorded, and this is the most frequent call of all.
        return _UNTRACED if get_current_span() is INVALID_SPAN else use_span(INVALID_SPAN)

    def step(self, name: str, kind: SpanKind, attributes: Attributes, reason: Reason) -> AbstractContextManager[Span]:
        """Return a child of the current span. ``reason`` returns the status for an exception that ends it."""
        return _ending(self._tracer.start_span(name, None, kind, attributes), reason)

    def publishing(self, attributes: Attributes) -> tuple[Span, str]:
        """Return a child span for a message that may be published, and its ``traceparent``.

        The caller ends the span if a message was published. A span that is not ended is never exported.
        """
        span = self._tracer.start_span("publish session", kind=SpanKind.PRODUCER, attributes=dict(attributes))
        context = span.get_span_context()
        return span, f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-01"

    @contextmanager
    def delivery(self, announced: Sequence[str]) -> Iterator[Span]:
        """Return the span of sending published changes to members, in the trace of the first change.

        ``announced`` has the ``traceparent`` of each change; if it is empty there is no span.
        """
        contexts = [context for context in map(_context, announced) if context]
        if not contexts:
            yield INVALID_SPAN
            return
        attributes: Attributes = {
            "messaging.system": "redis",
            "messaging.operation.name": "deliver",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": len(contexts),
        }
        parent = set_span_in_context(NonRecordingSpan(contexts[0]), Context())
        links = [Link(context) for context in contexts]
        started = self._tracer.start_span("deliver session", parent, SpanKind.CONSUMER, attributes, links)
        with _ending(started, _class_name) as span:
            yield span

    async def close(self, timeout: float = _LAST_BATCH_SECONDS) -> None:
        """Export the remaining spans, for ``timeout`` seconds at most: the receiver may be gone."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:
                # The event loop was closed before.
                pass

        # Not in the event loop's executor: the interpreter would wait for that thread at exit.
        threading.Thread(target=shut_down, name="last-traces", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            _logger.warning("trace export timed out at shutdown")


def failed(span: Span, reason: str) -> None:
    """Mark a span as failed; ``reason`` is a word from a fixed set."""
    span.set_attribute("error.type", reason)
    span.set_status(StatusCode.ERROR)


@contextmanager
def _ending(span: Span, reason: Reason) -> Iterator[Span]:
    """Make a span the current one, and end it afterwards; ``reason`` returns the status for an exception."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            failed(span, reason(error))
            raise


def _class_name(error: BaseException) -> str:
    return type(error).__name__


def _context(traceparent: str) -> SpanContext | None:
    if len(traceparent) > _MAX_TRACEPARENT_CHARACTERS:
        return None
    found = _TRACE_CONTEXT.extract({"traceparent": traceparent}, Context())
    context = get_current_span(found).get_span_context()
    return context if context.is_valid else None
