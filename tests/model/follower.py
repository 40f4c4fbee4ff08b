"""A replica that follows a session by announcements, some of which are lost, doubled, late or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient
from app.sessions.model import Session
from app.store.announcements import Announcement, Announcements
from app.store.mirror import SessionMirror
from app.store.session_hash import StoredSession
from tests.harness.keys import KEYS

__all__ = ["Follower"]


class Follower:
    """``heard`` has what was announced and has not arrived yet."""

    def __init__(self, client: RedisClient) -> None:
        self.heard: list[Announcement] = []
        self._client = client
        self._announcements = Announcements(client, KEYS, timeout=30, metrics=Metrics())
        self._announcements.listen(self)
        self._caught_up = asyncio.Event()
        self._code = ""
        self._mirror = SessionMirror("", 200)
        self._in_doubt = True
        self._began = False

    async def follow(self, code: str) -> None:
        """Follow another session."""
        if not self._began:
            self._began = True
            await self._announcements.start()
        if self._code:
            await self._announcements.unsubscribe(self._code)
        await self._announcements.subscribe(code)
        self._code, self._mirror, self._in_doubt = code, SessionMirror(code, 200), True
        self.heard.clear()

    async def catch_up(self) -> None:
        """Return when everything that was announced is heard."""
        self._caught_up.clear()
        await self._client.execute("SPUBLISH", KEYS.channel(self._code), "expires 0")
        async with asyncio.timeout(30):
            await self._caught_up.wait()

    def take(self, announcement: Announcement) -> None:
        """Let an announcement arrive."""
        assert announcement.head is not None
        if not self._mirror.apply(announcement.head, announcement.expires_at, announcement.changes):
            self._in_doubt = True

    def read(self, stored: StoredSession) -> None:
        """Read the session, as a replica in doubt does."""
        self._mirror.read(stored)
        self._in_doubt = False

    @property
    def certain(self) -> Session | None:
        """The state that is known, unless it is in doubt."""
        return None if self._in_doubt else self._mirror.session

    def announced(self, code: str, announcement: Announcement) -> None:
        if code == self._code and announcement.head is not None:
            self.heard.append(announcement)

    def extended(self, _code: str, _expires_at: int) -> None:
        self._caught_up.set()

    def missed(self, _codes: Iterable[str] | None) -> None:
        # What the connection was silent for is the time in which no event loop has run.
        self._in_doubt = True
        self._caught_up.set()

    async def close(self) -> None:
        await self._announcements.close()
