"""Keeps a session alive while somebody is there, and warns before it has to end all the same."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final

from app.realtime.member import Outbox
from app.realtime.room import Room, RoomStore
from app.sessions.errors import SessionError
from app.sessions.model import timestamp

__all__ = ["Lifetime"]

_RETRY: Final = 1.0
_LOOK_UP: Final = 0.5
_SHORTEST: Final = 0.02


class Lifetime:
    """One session's timer at this replica; Redis's clock decides.

    A session with members lives on for its lifetime again and again, until its deadline. Each member hears once, at
    the most ``warning`` seconds before the deadline, that it is near.
    """

    def __init__(self, code: str, store: RoomStore, outbox: Outbox, room: Room, *, warning: float) -> None:
        self._code = code
        self._store = store
        self._outbox = outbox
        self._room = room
        self._warning = warning
        self._ending: int | None = None
        # In a context of its own: it outlives the event that began it.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def close(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._wait(await self._tend())
            except SessionError as error:
                if error.code == "session-not-found":
                    self._room.refresh()
                await asyncio.sleep(_RETRY)

    async def _wait(self, seconds: float) -> None:
        """Near the end it looks up now and then, for members who have come in the meantime."""
        now = asyncio.get_running_loop().time
        end = now() + seconds
        while (left := end - now()) > 0:
            await asyncio.sleep(left if self._ending is None else min(left, _LOOK_UP))
            if self._ending is not None:
                self._warn(self._ending)

    async def _tend(self) -> float:
        """Extends the session and warns its members; the seconds until that has to be done again."""
        now, expires_at, deadline, lifetime = await self._store.change("touch", self._code, {})
        left = (deadline - now) / 1000
        if left <= self._warning:
            self._ending = deadline
            self._warn(deadline)
        pauses = [lifetime / 3000, (expires_at - now) / 1000]
        if left > self._warning:
            pauses.append(left - self._warning)
        return max(_SHORTEST, float(min(pauses)))

    def _warn(self, deadline: int) -> None:
        unwarned = [member for member in self._room.members.values() if not member.warned]
        if not unwarned:
            return
        for member in unwarned:
            member.warned = True
        body = {"sessionID": self._code, "expiresAt": timestamp(deadline)}
        self._outbox.deliver([member.sid for member in unwarned], self._outbox.encode("session-expiring", body))
