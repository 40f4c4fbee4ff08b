"""Announcements that carry the context of a traced request or event; see docs/tracing.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import get_current_span

from app.observability.tracing import Attributes, Tracing
from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.store.sessions import RedisSessions

__all__ = ["TracedSessions"]

_PUBLISHING: Final[Attributes] = {
    "messaging.system": "redis",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
}


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
