"""Runs the atomic steps of sessions, and updates the lists of sessions and recovery ids afterwards."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from opentelemetry.trace import get_current_span

from app.background import Background
from app.deadline import context_without_deadline
from app.observability.tracing import Attributes, Tracing
from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import StoreError, reading_reply
from app.redis_client.reply import Reply, array, integer, text, texts
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.store.client_errors import client_errors
from app.store.due import DueList
from app.store.keys import Keys
from app.store.outboxes import Outboxes
from app.store.scripts import LIST_SCRIPTS, SESSION_SCRIPTS
from app.store.session_hash import decision_entry
from app.store.watermarks import Watermarks

__all__ = ["StepRunner", "draw_lot"]

T = TypeVar("T")

_BATCH: Final = 200
# The time of the decision has come: it has to be made before the step.
_DECISION_DUE: Final = "decision-due"
_WRITE_EVENTS: Final = frozenset(
    {
        SESSION_SCRIPTS.create,
        SESSION_SCRIPTS.decide,
        SESSION_SCRIPTS.decide_due,
        SESSION_SCRIPTS.end_session,
        SESSION_SCRIPTS.expire,
    }
)
_PUBLISHING: Final[Attributes] = {
    "messaging.system": "redis",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
}

_logger = logging.getLogger(__name__)


class _Step(NamedTuple):
    """What every script replies, see ``scripts/session/_prelude.lua``; ``reply`` is what only this one does."""

    relist: int
    due: int
    voided: list[Reply]
    announced: int
    written: int
    head: Head | None
    status: str
    reply: list[Reply]


class StepRunner:
    """Runs scripts on sessions; see ``scripts/session/_prelude.lua`` for their calls and replies.

    ``due``: the sessions to sweep, and to decide in by time. ``remembered``: milliseconds for which a void recovery id
    is remembered. With ``tracing``, announcements carry the context of the span in which they are published. With
    ``outboxes``, steps write events there.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        watermarks: Watermarks,
        *,
        remembered: int,
        tracing: Tracing | None = None,
        outboxes: Outboxes | None = None,
    ) -> None:
        self.due = DueList(client, keys.due)
        self._client = client
        self._keys = keys
        self._watermarks = watermarks
        self._remembered = remembered
        self._tracing = tracing
        self._outboxes = outboxes
        self._forget_recovery = LIST_SCRIPTS.forget_recovery
        self._decide_due = SESSION_SCRIPTS.decide_due
        self._background = Background("store", _logger)

    async def run(
        self,
        script: Script,
        code: str,
        call: Mapping[str, object],
        read: Callable[[list[Reply]], T],
        *,
        changing: bool = True,
    ) -> T:
        """Run a step and ``read`` its reply; raise ``SessionError`` if the script refuses.

        Entries of ``call`` that are None are omitted, because JSON's null is not nil in Lua. ``changing``: whether the
        outcome of a step that was sent can be unknown.
        """
        with client_errors(changing=changing):
            step = await self._send(script, code, call)
            if step.status == _DECISION_DUE:
                await self._send(self._decide_due, code, {"lot": draw_lot()})
                step = await self._send(script, code, call)
            with reading_reply():
                outcome = read(step.reply) if step.status == "ok" else _refusal(step.status, step.reply)
            if step.head is not None:
                self._watermarks.note(code, step.head)
        if step.due:
            self._in_background(self._schedule(code, step.due))
        if step.relist:
            self._in_background(self._list(code, step.relist))
        if step.voided:
            self._in_background(self._forget(code, step.voided))
        if isinstance(outcome, SessionError):
            raise outcome
        return outcome

    def unlist(self, code: str) -> None:
        """Remove a session that has ended from the list of live ones."""
        self._in_background(self._best_effort(("ZREM", self._keys.sessions, code)))

    async def close(self) -> None:
        """Wait for pending writes."""
        await self._background.close(timeout=None)

    async def _send(self, script: Script, code: str, call: Mapping[str, object]) -> _Step:
        given = {name: value for name, value in call.items() if value is not None}
        given["seen"] = self._watermarks.lowest(code)
        if self._outboxes is None or script not in _WRITE_EVENTS:
            return await self._traced(script, code, given)
        expected = await self._outboxes.expect(code)
        step = await self._traced(script, code, given | {"event": expected})
        if step.written:
            self._in_background(self._have_sent(self._outboxes, code, expected["id"], step.written))
        return step

    async def _traced(self, script: Script, code: str, given: dict[str, object]) -> _Step:
        if self._tracing is None or not get_current_span().is_recording():
            return await self._call(script, code, given)
        publishing, traceparent = self._tracing.publishing(_PUBLISHING)
        step = await self._call(script, code, given | {"trace": traceparent})
        if step.announced:
            publishing.end()
        return step

    async def _call(self, script: Script, code: str, given: Mapping[str, object]) -> _Step:
        reply = await self._client.run(script, self._keys.session_keys(code), [orjson.dumps(given)])
        with reading_reply():
            return _step(array(reply))

    def _in_background(self, writing: Coroutine[Any, Any, object]) -> None:
        self._background.start(writing, context=context_without_deadline())

    async def _list(self, code: str, expires_at: int) -> None:
        await self._best_effort(("ZADD", self._keys.sessions, expires_at, code))
        names = await self._best_effort(("HKEYS", self._keys.connections(code)))
        free_at = integer(await self._best_effort(("PEXPIRETIME", self._keys.reservation(code))) or 0)
        good = [name[2:] for name in texts(names or []) if name.startswith("r:")]
        for start in range(0, len(good) if free_at else 0, _BATCH):
            batch = good[start : start + _BATCH]
            await self._client.batch([("PEXPIREAT", self._keys.recovery(recovery), free_at) for recovery in batch])

    async def _forget(self, code: str, voided: Sequence[Reply]) -> None:
        for recovery, remembered in zip(voided[::2], voided[1::2], strict=True):
            arguments: list[str | int] = [code, self._remembered if remembered else 0]
            with suppress(StoreError):
                await self._client.run(self._forget_recovery, [self._keys.recovery(text(recovery))], arguments)

    async def _schedule(self, code: str, at: int) -> None:
        # Otherwise a replica with members of the session sees that the decision is overdue.
        with suppress(SessionError):
            await self.due.schedule(code, at)

    async def _have_sent(self, outboxes: Outboxes, code: str, event: object, size: int) -> None:
        # Otherwise a replica looks at the outbox some seconds later.
        with suppress(SessionError):
            await outboxes.written(code, event, size)

    async def _best_effort(self, command: tuple[str | int, ...]) -> Reply:
        """Run a command and ignore a failure, which the next change or sweep corrects."""
        try:
            return await self._client.execute(*command)
        except StoreError:
            return None


def draw_lot() -> list[int]:
    """Return 64 random bits as two numbers of 32 bits, which Lua can compute with."""
    return [secrets.randbits(32), secrets.randbits(32)]


def _step(answer: list[Reply]) -> _Step:
    relist, due, voided, announced, written, position, status, *reply = answer
    head = Head.parse(text(position)) if position else None
    return _Step(
        integer(relist), integer(due), array(voided), integer(announced), integer(written), head, text(status), reply
    )


def _refusal(code: str, reply: list[Reply]) -> SessionError:
    """Return the error of a step that was refused with a message, and with the decision that was made before."""
    message = text(reply[0]) if reply else None
    decision = decision_entry(text(reply[1]).encode()).shown if len(reply) > 1 else None
    return SessionError(code, message, decision=decision)
