"""Sessions in Redis: reading, and one method for each atomic step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Final, TypeVar

from opentelemetry.trace import get_current_span

from app.deadline import has_time
from app.observability.tracing import Tracing
from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import UnexpectedReply, reading_reply
from app.redis_client.reply import Reply, array, integer, text, text_or_none
from app.redis_client.tracing import command_span
from app.sessions.model import Head, Session, Snapshot
from app.sessions.steps import (
    Attached,
    Attachment,
    Author,
    Extended,
    HostTokenGeneration,
    MoviesStored,
    NewMovie,
    NewSession,
    Removal,
    SessionSettings,
    Swept,
)
from app.store import calls, replies
from app.store.announcements import Announcement
from app.store.batches import run_batch
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.mirror import SessionMirror
from app.store.reads import READING, SessionReads
from app.store.scripts import SESSION_SCRIPTS
from app.store.session_hash import StoredSession
from app.store.snapshots import EncodedSessions, Snapshots
from app.store.steps import StepRunner
from app.store.watermarks import Watermarks, is_below

__all__ = ["RedisSessions"]

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_END_REASONS: Final = {"kicked": "kicked", "banned": "kicked", "left": "left"}


class RedisSessions:
    """Implements ``app.sessions.ports.SessionStore``.

    ``creation_memory``: seconds for which the idempotency key of a ``create`` is stored. ``quarantine``: seconds for
    which codes are not reused and the reason of a void recovery id is known. ``max_listed``: the participants that are
    listed in the ``sessionData`` of a session.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        *,
        creation_memory: float,
        quarantine: float,
        max_listed: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._creation_memory = round(creation_memory * 1000)
        self._scripts = SESSION_SCRIPTS
        self._seen = Watermarks()
        self._snapshots = Snapshots(monotonic)
        self._encoded = EncodedSessions()
        self._reads = SessionReads(client, keys)
        self._mirrors: dict[str, SessionMirror] = {}
        self._max_listed = max_listed
        self._tracing = tracing
        remembered = max(1, round(quarantine * 1000))
        self._steps = StepRunner(client, keys, self._seen, remembered=remembered, tracing=tracing)

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
        snapshot = self._parsed(stored).snapshot
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
            now = await self._now()
            count = await self._client.execute("ZCOUNT", self._keys.sessions, now, "+inf")
            with reading_reply():
                return integer(count)

    async def forget_expired(self) -> None:
        """Remove expired sessions from the list of live ones."""
        with client_errors(changing=True):
            await self._client.execute("ZREMRANGEBYSCORE", self._keys.sessions, "-inf", await self._now())

    async def _now(self) -> int:
        time = await self._client.execute("TIME")
        with reading_reply():
            seconds, _ = array(time)
            return integer(seconds) * 1000

    async def _expiry(self, code: str) -> int:
        with client_errors(changing=False):
            expires_at = await self._client.execute("PEXPIRETIME", self._keys.session(code))
            with reading_reply():
                return integer(expires_at)

    # Creating

    async def create(self, instances: Mapping[str, str], session: NewSession) -> str | None:
        with client_errors(changing=False):
            holders = await run_batch(self._client, [("GET", self._keys.reservation(code)) for code in instances])
        held = {code: holder for code, holder in zip(instances, holders, strict=True) if holder is not None}
        made = [code for code, holder in held.items() if holder == instances[code].encode()]
        for code in made + [code for code in instances if code not in held]:
            call = calls.creation(instances[code], session)
            if await self._steps.run(self._scripts.create, code, call, replies.created):
                return code
        return None

    async def claim_creation(self, digest: str, plan: str) -> str:
        with client_errors(changing=True):
            earlier = await self._client.execute(
                "SET", self._keys.created(digest), plan, "NX", "GET", "PX", self._creation_memory
            )
            with reading_reply():
                return text(earlier) if earlier else plan

    async def remember_creation(self, digest: str, plan: str) -> None:
        with client_errors(changing=True):
            await self._client.execute("SET", self._keys.created(digest), plan, "XX", "KEEPTTL")

    # Changes by participants and operators

    async def authorize(self, code: str, author: Author) -> None:
        call = calls.authority(author, {})
        await self._steps.run(self._scripts.authorize, code, call, replies.nothing, changing=False)

    async def leave(self, code: str, author: Author, *, connection: str, recovery: str) -> int:
        arguments = {"connection": connection, "recovery": recovery}
        # The connection is not part of the request, so a repeat over another connection is a repeat, too.
        return await self._change(self._scripts.leave, code, author, arguments, replies.version, compared={})

    async def add_movies(
        self, code: str, author: Author, movies: Sequence[NewMovie], *, max_movies: int, max_bytes: int
    ) -> MoviesStored:
        arguments = {"movies": calls.movies(movies), "max_movies": max_movies, "max_bytes": max_bytes}
        return await self._change(self._scripts.add_movies, code, author, arguments, replies.movies_stored)

    async def remove_movie(self, code: str, author: Author, movie: str) -> int:
        return await self._change(self._scripts.remove_movie, code, author, {"movie": movie}, replies.version)

    async def vote(self, code: str, author: Author, movie: str, rating: int, *, max_movies: int) -> int:
        arguments = {"movie": movie, "rating": rating, "max_movies": max_movies}
        return await self._change(self._scripts.vote, code, author, arguments, replies.version)

    async def rename_participant(self, code: str, author: Author, participant: str | None, name: str) -> int:
        arguments = {"target": participant, "name": name}
        return await self._change(self._scripts.rename_participant, code, author, arguments, replies.version)

    async def update_session(self, code: str, author: Author, settings: SessionSettings) -> int:
        return await self._change(self._scripts.update_session, code, author, calls.settings(settings), replies.version)

    async def remove_participant(self, code: str, author: Author, participant: str, reason: Removal) -> int:
        arguments = {"target": participant, "reason": reason}
        return await self._change(self._scripts.remove_participant, code, author, arguments, replies.version)

    async def transfer_host(self, code: str, author: Author, participant: str) -> int:
        return await self._change(self._scripts.transfer_host, code, author, {"target": participant}, replies.version)

    async def rotate_host_token(self, code: str, author: Author) -> HostTokenGeneration:
        return await self._change(self._scripts.rotate_host_token, code, author, {}, replies.host_token_generation)

    async def end_session(self, code: str, author: Author) -> int:
        version = await self._change(self._scripts.end_session, code, author, {}, replies.version)
        self._steps.unlist(code)
        return version

    async def _change(
        self,
        script: Script,
        code: str,
        author: Author,
        arguments: Mapping[str, object],
        read: Callable[[list[Reply]], T],
        *,
        compared: Mapping[str, object] | None = None,
    ) -> T:
        """Run a step that checks the author. Repeats must have the same ``compared``, by default all arguments."""
        compared = arguments if compared is None else compared
        return await self._steps.run(script, code, {**calls.authority(author, compared), **arguments}, read)

    # Presence

    async def attach(self, code: str, attachment: Attachment) -> Attached:
        read = partial(replies.attached, code, self._mirror(code))
        script = self._scripts.observe if attachment.observing else self._scripts.join
        return await self._steps.run(script, code, calls.attachment(attachment), read)

    async def detach(self, code: str, connections: Mapping[str, str | None], *, grace: int) -> int:
        gone = [[connection, recovery or ""] for connection, recovery in connections.items()]
        return await self._steps.run(self._scripts.detach, code, {"connections": gone, "grace": grace}, replies.due)

    async def stop_observing(self, code: str, connection: str, recovery: str) -> int:
        gone = [[connection, recovery]]
        call = {"connections": gone, "grace": 0}
        return await self._steps.run(self._scripts.detach, code, call, replies.detached_version)

    async def reap(self, code: str, replica: str, *, living: Sequence[str] | None = None, grace: int) -> int:
        """Detach the connections of a replica, all or all but ``living``.

        Returns when to look for participants to remove, in Unix milliseconds, 0 if all have other connections.
        """
        call = {"replica": replica, "grace": grace, "living": None if living is None else list(living)}
        return await self._steps.run(self._scripts.reap, code, call, replies.due)

    async def sweep(self, code: str, *, grace: int) -> Swept:
        """Remove the participants whose grace time (milliseconds) is over."""
        return await self._steps.run(self._scripts.sweep, code, {"grace": grace}, replies.swept)

    async def touch(self, code: str, *, least: int) -> Extended:
        """Extend a session that somebody is in, by at least so many milliseconds."""
        return await self._steps.run(self._scripts.touch, code, {"least": least}, replies.extended)
