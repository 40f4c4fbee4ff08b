"""The bodies of webhooks."""

from __future__ import annotations

import orjson

from app.sessions.timestamps import timestamp
from app.store.outboxes import OutboxEvent
from app.store.session_hash import decision_entry

__all__ = ["body_of"]


def body_of(code: str, event: OutboxEvent) -> bytes:
    """Return the same body for each attempt."""
    told = (
        {"decision": decision_entry(event.about.encode()).shown}
        if event.kind == "session.decided"
        else orjson.loads(event.about)
    )
    data = {"sessionID": code, "session": event.session, **told}
    return orjson.dumps({"type": event.kind, "timestamp": timestamp(event.at), "data": data})
