"""Keeps a session alive while it has members, and warns them before its deadline."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from app.background import Background
from app.realtime.member import Emitter
from app.realtime.room import Room
from app.sessions.errors import SessionError
from app.sessions.model import timestamp
from app.store.sessions import RedisSessions

__all__ = ["Lifetime"]

# The minimum interval between two extensions. Each extends for longer than that, so the next one is in time.
_INTERVAL_SECONDS: Final = 1.0
_MIN_EXTENSION_MILLISECONDS: Final = 2000
_LOOK_UP_SECONDS: Final = 0.5

_logger = logging.getLogger(__name__)


class Lifetime:
    """The timer of one session at this replica. Redis's clock decides.

    While a session has members, its lifetime is renewed, up to its deadline. Each member is warned once, at most
    ``warning`` seconds before the deadline.
    """

    def __init__(self, code: str, store: RedisSessions, emitter: Emitter, room: Room, *, warning: float) -> None:
        self._code = code
        self._store = store
        self._emitter = emitter
        self._room = room
        self._warning = warning
        self._background = Background("session lifetime", _logger)
        self._background.start(self._run())

    def close(self) -> None:
        self._background.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._tend()
            except SessionError as error:
                if error.code == "session-not-found":
                    self._room.refresh()
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _tend(self) -> None:
        """Extend the session, and warn its members when it is time; return when that has to be repeated."""
        clock = asyncio.get_running_loop().time
        session = await self._store.touch(self._code, least=_MIN_EXTENSION_MILLISECONDS)
        end = clock() + (session.deadline - session.now) / 1000
        again = clock() + max(_INTERVAL_SECONDS, session.lifetime / 3000)
        await self._wait(min(again, end), end - self._warning, session.deadline)
        if end < again:
            self._room.refresh()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _wait(self, until: float, warn_at: float, deadline: int) -> None:
        """Wait; near the deadline look repeatedly for members who joined after the warning."""
        clock = asyncio.get_running_loop().time
        while (now := clock()) < until:
            if now >= warn_at:
                self._warn(deadline)
            await asyncio.sleep(min(until - now, _LOOK_UP_SECONDS if now >= warn_at else warn_at - now))

    def _warn(self, deadline: int) -> None:
        unwarned = [member for member in self._room.members.values() if not member.warned]
        if not unwarned:
            return
        for member in unwarned:
            member.warned = True
        body = {"sessionID": self._code, "expiresAt": timestamp(deadline)}
        self._emitter.deliver([member.sid for member in unwarned], self._emitter.encode("session-expiring", body))
