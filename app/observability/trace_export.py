"""Exports spans with OpenTelemetry's SDK, as OTLP over HTTP. Imported only if traces are enabled."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app import __version__
from app.observability.logging import Throttle

__all__ = ["exporting_provider"]

_logger = logging.getLogger(__name__)


def exporting_provider(service: str, replica: str) -> TracerProvider:
    """Return a tracer provider whose spans are exported by a background thread.

    ``replica`` becomes ``service.instance.id``.
    """
    provider = TracerProvider(resource=_resource(service, replica), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Exporter()))
    return provider


class _Exporter(SpanExporter):
    """Logs failed exports at most once per interval. The library logs several lines for each batch."""

    def __init__(self) -> None:
        self._exporter = OTLPSpanExporter()
        self._log = Throttle(_logger, 60)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._log.warning("traces were lost: their receiver does not take them", spans=len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _resource(service: str, replica: str) -> Resource:
    """Return the resource that identifies the sender of the spans.

    ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` take precedence.
    """
    ours = {"service.name": service, "service.version": __version__, "service.instance.id": replica}
    return Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())
