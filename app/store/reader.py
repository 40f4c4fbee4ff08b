"""Sessions in Redis, for reading."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic, time
from typing import Final, TypeVar

import orjson
from opentelemetry.trace import get_current_span

from app.deadline import has_time
from app.observability.tracing import Tracing
from app.redis_client.client import RedisClient
from app.redis_client.errors import UnexpectedReply, reading_reply
from app.redis_client.reply import array, integer, text, text_or_none
from app.redis_client.tracing import command_span
from app.sessions.head import Head
from app.sessions.model import Session, Snapshot
from app.store import replies
from app.store.announcements import Announcement
from app.store.batches import run_batch
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.mirror import SessionMirror
from app.store.outboxes import Outboxes
from app.store.reads import READING, SessionReads
from app.store.scripts import SESSION_SCRIPTS
from app.store.session_hash import StoredSession
from app.store.snapshots import EncodedSessions, Snapshots
from app.store.steps import StepRunner
from app.store.watermarks import Watermarks, is_below

__all__ = ["SessionReader"]

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_END_REASONS: Final = {"kicked": "kicked", "banned": "kicked", "left": "left"}


class SessionReader:
    """Reads sessions, and mirrors those that are watched.

    ``quarantine``: seconds for which codes are not reused and the reason of a void recovery id is known.
    ``max_listed``: the participants that are listed in the ``sessionData`` of a session. ``clock`` returns Redis's time
    (Unix milliseconds). ``outboxes``: where steps write events, if they do.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        *,
        quarantine: float,
        max_listed: int,
        clock: Callable[[], int] = lambda: round(time() * 1000),
        tracing: Tracing | None = None,
        outboxes: Outboxes | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self.now = clock
        self._scripts = SESSION_SCRIPTS
        self._seen = Watermarks()
        self._snapshots = Snapshots(monotonic)
        self._encoded = EncodedSessions()
        self._reads = SessionReads(client, keys)
        self._mirrors: dict[str, SessionMirror] = {}
        self._max_listed = max_listed
        self._tracing = tracing
        remembered = max(1, round(quarantine * 1000))
        self._steps = StepRunner(client, keys, self._seen, remembered=remembered, tracing=tracing, outboxes=outboxes)

    def watch(self, code: str) -> None:
        """Mirror this session: detect if Redis loses changes that were seen, and parse only what has changed."""
        self._seen.watch(code)
        self._mirrors.setdefault(code, SessionMirror(code, self._max_listed))

    def apply(self, code: str, announcement: Announcement) -> bool:
        """Apply an announced change to a watched session. Return False if the session has to be read."""
        head, mirror = announcement.head, self._mirrors.get(code)
        if head is None or mirror is None:
            return False
        try:
            with reading_reply():
                applied = mirror.apply(head, announcement.expires_at, announcement.changes)
        except UnexpectedReply:
            _logger.warning("an announced change cannot be applied: the session is read")
            applied = False
        if applied:
            self._seen.note(code, head)
        else:
            self._seen.announced(code, head)
        return applied

    def extended(self, code: str, expires_at: int) -> None:
        """Note the announced time of expiry (Unix milliseconds) of a watched session."""
        if mirror := self._mirrors.get(code):
            mirror.extend(expires_at)

    def mirrored(self, code: str) -> Session | None:
        """Return the newest known version of a watched session."""
        mirror = self._mirrors.get(code)
        return None if mirror is None else mirror.session

    def unwatch(self, code: str) -> None:
        self._seen.unwatch(code)
        self._mirrors.pop(code, None)

    async def close(self) -> None:
        """Wait for pending writes."""
        await self._reads.close()
        await self._steps.close()

    # Reading

    async def read(self, code: str) -> Session | None:
        noted = self._seen.noted(code)
        stored = await self._renewed_if_lost(await self._reads.alone(code), noted)
        return None if stored is None else self._parsed(stored)

    async def snapshot(self, code: str) -> Snapshot | None:
        """Return the newest version for reading.

        If a large session was read recently, only its head is read, to see whether it has changed.
        """
        known = self._snapshots.get(code)
        if known is not None:
            head, expires_at = await asyncio.gather(self.head(code), self._expiry(code))
            if head == known.head and expires_at > 0:
                return known.expiring(expires_at)
        noted = self._seen.noted(code)
        # A shared read has the time-out of the client.
        found = await (self._shared(code) if has_time(self._client.timeout) else self._reads.alone(code))
        stored = await self._renewed_if_lost(found, noted)
        if stored is None:
            self._snapshots.put(code, None)
            return None
        if same := self._encoded.get(stored):
            return same
        snapshot = replace(self._parsed(stored).snapshot, guarded=b"passcode" in stored.fields)
        self._snapshots.put(code, snapshot)
        self._encoded.put(stored, snapshot)
        return snapshot

    def _mirror(self, code: str) -> SessionMirror:
        return self._mirrors.get(code) or SessionMirror(code, self._max_listed)

    def _parsed(self, stored: StoredSession) -> Session:
        with client_errors(changing=False), reading_reply():
            return self._mirror(stored.code).read(stored)

    async def _shared(self, code: str) -> StoredSession | None:
        """Read a session together with others; if the caller is traced, within a span of its own."""
        if self._tracing is None or not get_current_span().is_recording():
            return await self._reads.together(code)
        with command_span(self._tracing, READING):
            return await self._reads.together(code)

    async def _renewed_if_lost(self, stored: StoredSession | None, noted: Mapping[str, int]) -> StoredSession | None:
        """Give a session a new epoch and read it again, if it is below the versions noted before it was read."""
        if stored is not None and is_below(stored.head, noted):
            await self._steps.run(self._scripts.new_epoch, stored.code, {}, replies.nothing)
            stored = await self._reads.alone(stored.code)
        if stored is not None:
            self._seen.note(stored.code, stored.head)
        return stored

    async def head(self, code: str) -> Head | None:
        noted = self._seen.noted(code)
        with client_errors(changing=False):
            reply = await self._client.execute("HMGET", self._keys.session(code), "epoch", "version")
            with reading_reply():
                head = replies.head(array(reply))
        if head is not None and is_below(head, noted):
            session = await self.read(code)
            return None if session is None else session.head
        return head

    async def heads(self, codes: Sequence[str]) -> list[Head | None]:
        """Return the heads of sessions, None for those that do not exist."""
        with client_errors(changing=False):
            found = await run_batch(
                self._client, [("HMGET", self._keys.session(code), "epoch", "version") for code in codes]
            )
            with reading_reply():
                return [replies.head(array(reply)) for reply in found]

    async def instance(self, code: str) -> str | None:
        with client_errors(changing=False):
            instance = await self._client.execute("HGET", self._keys.session(code), "instance")
            with reading_reply():
                return text_or_none(instance)

    async def passcode(self, code: str) -> str | None:
        with client_errors(changing=False):
            passcode = await self._client.execute("HGET", self._keys.session(code), "passcode")
            with reading_reply():
                return text_or_none(passcode)

    async def end_reason(self, code: str, instance: str, participant: str = "") -> str:
        """Return why a membership is over.

        If the session is over: ``ended``, ``expired``, or ``lost`` by Redis. If it exists: the participant was
        ``kicked`` or has ``left``, if that is known.
        """
        with client_errors(changing=False):
            found = await run_batch(
                self._client,
                [
                    ("GET", self._keys.reservation(code)),
                    ("HMGET", self._keys.session(code), "instance", f"k:{participant}"),
                    ("HGET", self._keys.connections(code), f"f:{participant}"),
                ],
            )
            with reading_reply():
                reservation, fields, departure = found
                current, removal = map(text_or_none, array(fields))
                if current == instance:
                    reason = removal or (text_or_none(departure) or "").partition("|")[0]
                    return _END_REASONS.get(reason, "lost")
                if reservation is None:
                    return "lost"
                words = text(reservation).split(" ")
                return "ended" if words[:2] == ["ended", instance] else "expired"

    async def count(self) -> int:
        with client_errors(changing=False):
            count = await self._client.execute("ZCOUNT", self._keys.sessions, self.now(), "+inf")
            with reading_reply():
                return integer(count)

    async def _expiry(self, code: str) -> int:
        with client_errors(changing=False):
            expires_at = await self._client.execute("PEXPIRETIME", self._keys.session(code))
            with reading_reply():
                return integer(expires_at)

    async def votes(self, code: str, participant: str) -> dict[str, int]:
        """Return a participant's ratings by movie; empty if the session does not exist."""
        session = self.mirrored(code) or await self.read(code)
        if session is None:
            return {}
        with client_errors(changing=False):
            cast = await self._client.execute("HGET", self._keys.votes(code), participant)
            with reading_reply():
                by_order = orjson.loads(text(cast)) if cast else {}
                movies = {str(movie.order): movie.id for movie in session.movies.values()}
                return {movies[order]: int(rating) for order, rating in by_order.items() if order in movies}
