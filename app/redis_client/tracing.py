"""Spans for calls to Redis within a traced request or event; see docs/tracing.md."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind, get_current_span

from app.observability.tracing import Attributes, Tracing, failed
from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable
from app.redis_client.observer import Ended, Operation

__all__ = ["CommandSpans", "command_span"]


class CommandSpans:
    """An observer of ``RedisClient``. Spans contain no keys or arguments, which include session codes."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def started(self, operation: Operation) -> Ended:
        if not get_current_span().is_recording():
            return _nothing_to_end
        step = command_span(self._tracing, operation)
        span = step.__enter__()

        def ended(errors: Sequence[BaseException]) -> None:
            if errors:
                failed(span, _failure(errors[0]))
            step.__exit__(None, None, None)

        return ended


def command_span(tracing: Tracing, operation: Operation) -> AbstractContextManager[Span]:
    """Return the span of a call, within the current one."""
    name = f"{operation.command} {operation.script}".rstrip()
    return tracing.step(name, SpanKind.CLIENT, _attributes(operation), _failure)


def _nothing_to_end(errors: Sequence[BaseException]) -> None:
    """Do nothing: the call was not traced."""


def _attributes(operation: Operation) -> Attributes:
    attributes: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": operation.command}
    if operation.script:
        attributes["db.stored_procedure.name"] = operation.script
    if operation.size:
        attributes["db.operation.batch.size"] = operation.size
    return attributes


def _failure(error: BaseException) -> str:
    match error:
        case StoreUnavailable():
            return error.reason
        case CommandFailed():
            return error.code
    # Whoever waits for a call of others gets an error that is made of its own.
    return _failure(error.__cause__) if isinstance(error.__cause__, StoreError) else type(error).__name__
