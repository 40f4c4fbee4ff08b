"""Keeps a session alive while it has members, and warns them before its deadline."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NamedTuple

from app.background import Background
from app.realtime.member import Emitter
from app.realtime.room import Room
from app.sessions.errors import SessionError
from app.sessions.steps import Extended
from app.sessions.timestamps import timestamp
from app.store.sessions import RedisSessions

__all__ = ["Lifetime"]

# The minimum interval between two extensions. Each extends for longer than that, so the next one is in time.
_INTERVAL_SECONDS: Final = 1.0
_MIN_EXTENSION_MILLISECONDS: Final = 2000
_LOOK_UP_SECONDS: Final = 0.5

_logger = logging.getLogger(__name__)


class _Times(NamedTuple):
    """Loop times of the next extension, the warning and the end of a session, and its deadline as the store has it."""

    again: float
    warning: float
    end: float
    deadline: int


class Lifetime:
    """The timer of one session at this replica. Redis's clock decides.

    While a session has members, its lifetime is renewed, up to its deadline. Each member is warned once, at most
    ``warning`` seconds before the deadline. ``extended``: the result of an extension just now, if there was one.
    """

    def __init__(
        self,
        code: str,
        store: RedisSessions,
        emitter: Emitter,
        room: Room,
        extended: Extended | None,
        *,
        warning: float,
    ) -> None:
        self._code = code
        self._store = store
        self._emitter = emitter
        self._room = room
        self._warning = warning
        self._background = Background("session lifetime", _logger)
        self._start: asyncio.TimerHandle | None = None
        if extended is None or extended.lifetime < _MIN_EXTENSION_MILLISECONDS:
            self._begin(None)
            return
        # Until there is something to do a timer costs less than a task.
        times = self._times(extended)
        self._start = asyncio.get_running_loop().call_at(min(times.again, times.warning, times.end), self._begin, times)

    def close(self) -> None:
        if self._start is not None:
            self._start.cancel()
        self._background.cancel()

    def _begin(self, times: _Times | None) -> None:
        self._background.start(self._run(times))

    async def _run(self, times: _Times | None) -> None:
        while True:
            try:
                await self._tend(times or self._times(await self._extend()))
                times = None
            except SessionError as error:
                if error.code == "session-not-found":
                    self._room.refresh()
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _extend(self) -> Extended:
        return await self._store.touch(self._code, least=_MIN_EXTENSION_MILLISECONDS)

    def _times(self, extended: Extended) -> _Times:
        now = asyncio.get_running_loop().time()
        end = now + (extended.deadline - extended.now) / 1000
        again = now + max(_INTERVAL_SECONDS, extended.lifetime / 3000)
        return _Times(again, end - self._warning, end, extended.deadline)

    async def _tend(self, times: _Times) -> None:
        """Warn the members when it is time; return when the session has to be extended."""
        await self._wait(min(times.again, times.end), times.warning, times.deadline)
        if times.end < times.again:
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
