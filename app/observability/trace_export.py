"""What sends spans: OpenTelemetry's SDK with its exporter for OTLP over HTTP. Imported only where traces are wanted."""

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
    """Return the maker of spans that are sent by a thread of its own; ``replica`` becomes ``service.instance.id``."""
    provider = TracerProvider(resource=_resource(service, replica), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Exporter()))
    return provider


class _Exporter(SpanExporter):
    """Says in a line now and then that the receiver does not take traces; the library has several a batch."""

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
    """Who sends the spans; what ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` say comes first."""
    ours = {"service.name": service, "service.version": __version__, "service.instance.id": replica}
    return Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())
