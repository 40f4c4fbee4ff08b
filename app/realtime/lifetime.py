"""Keeps a session alive while somebody is there, and warns before it has to end all the same."""

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

# A session is extended no more often, so at least for so long that the next time comes in time.
_INTERVAL_SECONDS: Final = 1.0
_MIN_EXTENSION_MILLISECONDS: Final = 2000
_LOOK_UP_SECONDS: Final = 0.5

_logger = logging.getLogger(__name__)


class Lifetime:
    """One session's timer at this replica; Redis's clock decides.

    A session with members lives on for its lifetime again and again, until its deadline. Each member hears once, at
    the most ``warning`` seconds before the deadline, that it is near.
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
        """Extends the session, and warns its members when it is time, until that has to be done again."""
        clock = asyncio.get_running_loop().time
        session = await self._store.touch(self._code, least=_MIN_EXTENSION_MILLISECONDS)
        end = clock() + (session.deadline - session.now) / 1000
        again = clock() + max(_INTERVAL_SECONDS, session.lifetime / 3000)
        await self._wait(min(again, end), end - self._warning, session.deadline)
        if end < again:
            self._room.refresh()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _wait(self, until: float, warn_at: float, deadline: int) -> None:
        """Near the end it looks up now and then, for members who have come in the meantime."""
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
