"""Spans for calls to Redis within a traced request or event; see docs/tracing.md."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.trace import SpanKind, get_current_span

from app.observability.tracing import Attributes, Tracing, failed
from app.redis_client.errors import CommandFailed, StoreUnavailable
from app.redis_client.observer import Ended, Operation

__all__ = ["CommandSpans", "failure_of"]


class CommandSpans:
    """An observer of ``RedisClient``. Spans contain no keys or arguments, which include session codes."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def started(self, operation: Operation) -> Ended:
        if not get_current_span().is_recording():
            return _nothing_to_end
        name = f"{operation.command} {operation.script}".rstrip()
        step = self._tracing.step(name, SpanKind.CLIENT, _attributes(operation), failure_of)
        span = step.__enter__()

        def ended(errors: Sequence[BaseException]) -> None:
            if errors:
                failed(span, failure_of(errors[0]))
            step.__exit__(None, None, None)

        return ended


def _nothing_to_end(errors: Sequence[BaseException]) -> None:
    """Do nothing: the call was not traced."""


def _attributes(operation: Operation) -> Attributes:
    attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": operation.command}
    if operation.script:
        attributes["db.stored_procedure.name"] = operation.script
    if operation.size:
        attributes["db.operation.batch.size"] = operation.size
    return attributes


def failure_of(error: BaseException) -> str:
    """Return the ``error.type`` of a span that ended with an error."""
    match error:
        case StoreUnavailable():
            return error.reason
        case CommandFailed():
            return error.code
    return type(error).__name__
