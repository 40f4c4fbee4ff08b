"""A receiver of traces in the test's process: OTLP over HTTP, like a collector."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from tests.harness.privacy import assert_nothing_private

__all__ = ["Receiver", "Span", "receiver"]

_TIMEOUT: Final = 20.0


@dataclass(frozen=True)
class Span:
    """A received span. Ids are hexadecimal; `parent` and `links` are ids of spans; `replica` is the sender."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    start: int
    replica: str

    @classmethod
    def read(cls, message: Message, replica: str) -> Span:
        return cls(
            name=message.name,
            kind=Message.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_").lower(),
            trace=message.trace_id.hex(),
            id=message.span_id.hex(),
            parent=message.parent_span_id.hex(),
            links=tuple(link.span_id.hex() for link in message.links),
            attributes=_attributes(message.attributes),
            failed=message.status.code == 2,
            start=message.start_time_unix_nano,
            replica=replica,
        )


class Receiver:
    """Keeps the received spans, and all data as received (`raw`) and in readable form without ids (`text`).

    `refused` counts requests to other paths than that for traces.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._bodies: list[bytes] = []
        self.resources: list[dict[str, Any]] = []
        self.refused = 0
        self.open = threading.Event()
        self.open.set()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a replica sends its traces here, with a short delay."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    @property
    def raw(self) -> bytes:
        return b"".join(self._bodies)

    @property
    def text(self) -> str:
        return "".join(map(_readable, self._bodies))

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; raises AssertionError if that takes too long."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(condition, _TIMEOUT)

        assert await asyncio.to_thread(wait), sorted(span.name for span in self.spans)

    async def until_refused(self, count: int) -> None:
        """Return once so many requests were refused."""
        await self.until(lambda: self.refused >= count)

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self._bodies.append(body)
            for group in request.resource_spans:
                resource = _attributes(group.resource.attributes)
                self.resources.append(resource)
                for scope in group.scope_spans:
                    self.spans += [Span.read(span, resource["service.instance.id"]) for span in scope.spans]
            self._changed.notify_all()

    def _refuse(self) -> None:
        with self._changed:
            self.refused += 1
            self._changed.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.open.wait()
                known = self.path == "/v1/traces"
                if known:
                    receiver._take(body)
                else:
                    receiver._refuse()
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a loopback port. While its `open` is cleared it accepts requests without responding."""
    listening = Receiver()
    try:
        yield listening
    finally:
        listening.close()
    assert_nothing_private(listening.text)


def _readable(body: bytes) -> str:
    """Return a request as text, without its random ids: their bytes may happen to be a name."""
    request = ExportTraceServiceRequest.FromString(body)
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                for message in (span, *span.links):
                    message.ClearField("trace_id")
                    message.ClearField("span_id")
                span.ClearField("parent_span_id")
    return str(request)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
