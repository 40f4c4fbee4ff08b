"""The store, with a span for each step that belongs to a traced request or event; see docs/tracing.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry.trace import SpanKind, get_current_span

from app.observability.metrics import Metrics
from app.observability.tracing import Attributes, Tracing
from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import CommandFailed, StoreUnavailable, reading_reply
from app.redis_client.link import Argument
from app.redis_client.metrics import CountedConnection
from app.redis_client.topology import Topology
from app.store.sessions import RedisSessions

__all__ = ["TracedConnection", "TracedSessions"]

_PUBLISHING: Final[Attributes] = {
    "messaging.system": "redis",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
}


class TracedConnection(CountedConnection):
    """A span for each call. Nothing of its keys and arguments is in it: they hold codes."""

    def __init__(self, topology: Topology, *, timeout: float, metrics: Metrics, tracing: Tracing) -> None:
        super().__init__(topology, timeout=timeout, metrics=metrics)
        self._tracing = tracing

    async def execute(self, *command: Argument) -> Any:
        with self._step(str(command[0])):
            return await super().execute(*command)

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Iterable[Argument] = ()) -> Any:
        with self._step("EVALSHA", {"db.stored_procedure.name": script.name}):
            return await super().run(script, keys, args)

    async def batch(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        commands = list(commands)
        with self._step("PIPELINE", {"db.operation.batch.size": len(commands)}):
            return await super().batch(commands)

    @contextmanager
    def _step(self, operation: str, details: Attributes | None = None) -> Iterator[None]:
        if not get_current_span().is_recording():
            yield
            return
        details = details or {}
        name = " ".join([operation, str(details.get("db.stored_procedure.name", ""))]).strip()
        attributes = {"db.system.name": "redis", "db.operation.name": operation, **details}
        with self._tracing.step(name, SpanKind.CLIENT, attributes, _reason):
            yield


class TracedSessions(RedisSessions):
    """Announcements carry the context of the span in which they were published."""

    def __init__(self, connection: RedisClient, *, creation_memory: float, rest: float, tracing: Tracing) -> None:
        super().__init__(connection, creation_memory=creation_memory, rest=rest)
        self._tracing = tracing

    async def _step(self, script: str, code: str, call: Mapping[str, Any]) -> list[Any]:
        if not get_current_span().is_recording():
            return await super()._step(script, code, call)
        publishing, traceparent = self._tracing.publishing(_PUBLISHING)
        reply = await super()._step(script, code, {**call, "trace": traceparent})
        with reading_reply():
            _, _, announced, *_ = reply
        if announced:
            publishing.end()
        return reply


def _reason(error: BaseException) -> str:
    match error:
        case StoreUnavailable():
            return error.reason
        case CommandFailed():
            return error.code
    return type(error).__name__
