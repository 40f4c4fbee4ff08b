"""The sessions of which this replica receives announcements."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import Final, Protocol

from app.background import Background
from app.deadline import before_deadline, context_without_deadline
from app.sessions.errors import SessionError
from app.store.replicas import RedisReplicas

__all__ = ["SessionChannels", "Subscriptions"]

# A participant who reloads the page is back within this time.
_IDLE_SECONDS: Final = 5.0
_MAX_IDLE: Final = 1_000
# How often those that have been idle for so long are ended, together.
_INTERVAL_SECONDS: Final = 1.0

_logger = logging.getLogger(__name__)


class SessionChannels(Protocol):
    """Subscriptions by session code; the methods raise ``SessionError``."""

    async def subscribe(self, code: str) -> None: ...

    async def unsubscribe(self, code: str) -> None: ...


class Subscriptions:
    """Subscribes to sessions, and lists them in Redis as sessions with connections at this replica.

    A session that is released stays subscribed for a few seconds. Often its participants come back within that time,
    and ending many subscriptions at once costs a fraction of ending each.
    """

    def __init__(self, channels: SessionChannels, replicas: RedisReplicas) -> None:
        self._channels = channels
        self._replicas = replicas
        self._wanted: set[str] = set()
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._open: set[str] = set()
        # Sessions that nobody wants, with the loop time of their release, the earliest first.
        self._idle: dict[str, float] = {}
        self._background = Background("subscriptions", _logger)
        self._is_ending_idle = False

    async def open(self, code: str) -> None:
        """Return when every later change of the session will be announced. Raises ``SessionError``."""
        self._wanted.add(code)
        self._idle.pop(code, None)
        if code in self._open:
            return
        opening = self._opening.get(code)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._subscribe(code), context=context_without_deadline())
            self._opening[code] = opening
            opening.add_done_callback(lambda done: self._opened(code, done))
        try:
            await before_deadline(opening)
        except TimeoutError as error:
            raise SessionError("unavailable") from error

    def release(self, code: str) -> None:
        """End the subscription some time later, unless it is opened again."""
        self._wanted.discard(code)
        if code in self._opening:
            return
        self._idle[code] = asyncio.get_running_loop().time()
        if len(self._idle) == _MAX_IDLE + 1:
            # It runs in the next turn of the event loop, when many more may have been released.
            self._background.start(self._end_surplus())
        if not self._is_ending_idle:
            self._is_ending_idle = True
            self._background.start(self._end_idle())

    async def list_again(self) -> None:
        """List all sessions again, because other replicas may have taken this one for dead. Raises ``SessionError``."""
        await self._replicas.enter(list(self._wanted | self._open))

    async def close(self) -> None:
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await self._background.close()

    async def _subscribe(self, code: str) -> None:
        await asyncio.gather(self._channels.subscribe(code), self._replicas.enter([code]))

    def _opened(self, code: str, opening: asyncio.Task[None]) -> None:
        del self._opening[code]
        if not opening.cancelled() and opening.exception() is None:
            self._open.add(code)
        if code not in self._wanted:
            # The callers that waited for the subscription have given up.
            self.release(code)

    async def _end_idle(self) -> None:
        try:
            while self._idle:
                await asyncio.sleep(_INTERVAL_SECONDS)
                latest = asyncio.get_running_loop().time() - _IDLE_SECONDS
                await self._end([code for code, since in self._idle.items() if since <= latest])
        finally:
            self._is_ending_idle = False

    async def _end_surplus(self) -> None:
        await self._end(list(islice(self._idle, max(0, len(self._idle) - _MAX_IDLE))))

    async def _end(self, codes: list[str]) -> None:
        """End the subscriptions of sessions that nobody wants."""
        try:
            for code in codes:
                if self._idle.pop(code, None) is not None:
                    self._open.discard(code)
                    await self._channels.unsubscribe(code)
            await self._replicas.exit([code for code in codes if code not in self._wanted])
        except SessionError as error:
            _logger.debug("subscriptions were not ended", extra={"code": error.code})
