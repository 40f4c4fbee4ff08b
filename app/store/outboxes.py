"""Outboxes: the events of sessions that wait to be sent to the receiver of webhooks.

A step writes an event to the outbox of its session, a key of its own, which outlives the session. Before the step the
session is put on the list ``js:outboxes``, because the replica may die after it; afterwards the event is put on the
list ``js:events``, which bounds those of the whole deployment. Any replica may claim an outbox and send its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import array, integer, texts
from app.sessions.ids import random_id
from app.store.client_errors import client_errors
from app.store.due import Due
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["OutboxEvent", "Outboxes"]

# A step has ended by then.
_LOOK_AFTER_MILLISECONDS: Final = 5000
# Events are dropped, and counted, before their key expires.
_SURPLUS_MILLISECONDS: Final = 600_000
# By which the score of a claim differs from all times.
_CLAIMED: Final = 0.5


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event as it is ``stored``: ``<id> <at> <kind> <session> <about>``.

    ``at``: its time, Unix milliseconds. ``session``: unique among all sessions, unlike a code. ``about``: JSON.
    """

    stored: str
    id: str
    at: int
    kind: str
    session: str
    about: str

    @classmethod
    def parse(cls, stored: str) -> OutboxEvent:
        event, at, kind, session, about = stored.split(" ", 4)
        return cls(stored, event, int(at), kind, session, about)


class Outboxes:
    """The outboxes of the deployment. All methods raise ``SessionError``.

    ``kept``: seconds for which an event is tried. ``clock`` returns Redis's time (Unix milliseconds). ``woken`` is set
    when there is something to send.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        metrics: Metrics,
        *,
        kept: float,
        max_events: int,
        max_bytes: int,
        clock: Callable[[], int],
    ) -> None:
        self.woken = asyncio.Event()
        self.now = clock
        self.kept = round(kept * 1000)
        self._client = client
        self._keys = keys
        self._metrics = metrics
        self._max_events = max_events
        self._max_bytes = max_bytes

    # Writing

    async def expect(self, code: str) -> dict[str, object]:
        """Prepare for a step that may write an event; return what it is told: the event's id and time to live."""
        await self._schedule(code, self.now() + _LOOK_AFTER_MILLISECONDS, "expected")
        return {"id": random_id(), "kept": self.kept + _SURPLUS_MILLISECONDS}

    async def written(self, code: str, event: object, size: int) -> None:
        """List an event that a step has written, and have it sent."""
        arguments: list[str | int] = [f"{code} {event} {size}", size, self.now(), self._max_events, self._max_bytes]
        with client_errors(changing=True):
            reply = await self._client.run(LIST_SCRIPTS.list_event, [self._keys.events], arguments)
            with reading_reply():
                beyond = texts(reply)
        for listed in beyond:
            await self._drop(listed)
        await self._schedule(code, self.now())
        self.woken.set()

    async def _drop(self, listed: str) -> None:
        code, event, _ = listed.split(" ")
        oldest = await self.oldest(code)
        if oldest is not None and oldest.id == event:
            with client_errors(changing=True):
                await self._client.execute("ZREM", self._keys.outbox(code), oldest.stored)
            self._metrics.webhook_events.labels("dropped").inc()

    async def _schedule(self, code: str, *when: int | str) -> None:
        # Nothing that a client has asked for is changed by it.
        with client_errors(changing=False):
            await self._client.run(LIST_SCRIPTS.schedule_outbox, [self._keys.outboxes], [code, *when])

    # Sending

    async def claim(self, most: int, seconds: float) -> Due:
        """Claim outboxes to send events of; other replicas do not get them for ``seconds``."""
        arguments: list[str | int] = [most, f"{round(seconds * 1000) + _CLAIMED}"]
        with client_errors(changing=True):
            reply = await self._client.run(LIST_SCRIPTS.claim_due, [self._keys.outboxes], arguments)
            with reading_reply():
                claim, codes = array(reply)
                return Due(integer(claim), texts(codes))

    async def settle(self, code: str, claim: int, next_attempt: int) -> None:
        """End a claim; 0 if the outbox is empty."""
        arguments: list[str | int] = [code, f"{claim + _CLAIMED}", next_attempt, self.now() + _LOOK_AFTER_MILLISECONDS]
        with client_errors(changing=True):
            await self._client.run(LIST_SCRIPTS.settle_outbox, [self._keys.outboxes], arguments)

    async def oldest(self, code: str) -> OutboxEvent | None:
        """Return the event that is to be sent next."""
        with client_errors(changing=False):
            reply = await self._client.execute("ZRANGE", self._keys.outbox(code), 0, 0)
            with reading_reply():
                found = texts(reply)
                return OutboxEvent.parse(found[0]) if found else None

    async def remove(self, code: str, event: OutboxEvent) -> None:
        """Remove an event that was sent or came too late."""
        size = len(event.stored.encode())
        with client_errors(changing=True):
            await self._client.execute("ZREM", self._keys.outbox(code), event.stored)
        await self._unlist(f"{code} {event.id} {size}")

    async def waiting_since(self) -> int | None:
        """Return the time of the oldest event that waits, None if there is none."""
        with client_errors(changing=False):
            reply = await self._client.execute("ZRANGE", self._keys.events, 1, 1)
            with reading_reply():
                found = texts(reply)
        if not found:
            return None
        code, event, _ = found[0].split(" ")
        oldest = await self.oldest(code)
        if oldest is not None and oldest.id == event:
            return oldest.at
        # It was sent before it was listed, or its key has expired.
        await self._unlist(found[0])
        return None

    async def _unlist(self, listed: str) -> None:
        size = listed.rpartition(" ")[2]
        with client_errors(changing=True):
            await self._client.run(LIST_SCRIPTS.unlist_event, [self._keys.events], [listed, size])
