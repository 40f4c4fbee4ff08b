"""Connections that are gone, kept until Redis knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from app.background import Background
from app.backoff import Backoff
from app.observability.logging import log_bug
from app.sessions.errors import SessionError

__all__ = ["Departed", "Departures"]

_MAX_CONNECTIONS: Final = 20_000
_MAX_CONCURRENT: Final = 20
_MIN_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 2.0

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Departed:
    """What Redis has to be told of one session.

    ``connections`` that are gone, each with its recovery id if that continues nobody any more. ``others``: so many are
    gone that only those that live are known. ``needs_sweep``: a sweep has to look who is connected.
    """

    connections: dict[str, str | None] = field(default_factory=dict)
    others: bool = False
    needs_sweep: bool = False


class Departures:
    """Tells Redis, by one task, session by session; what Redis does not take it is told again."""

    def __init__(self, tell: Callable[[str, Departed], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: dict[str, Departed] = {}
        self._number = 0
        self._background = Background("departures", _logger)
        self._running = False

    def add(self, code: str, connection: str, recovery: str | None) -> None:
        """A connection is gone from a session."""
        departed = self._departed(code)
        if connection in departed.connections:
            departed.connections[connection] = departed.connections[connection] or recovery
        elif self._number < _MAX_CONNECTIONS:
            departed.connections[connection] = recovery
            self._number += 1
        else:
            departed.others = True

    def schedule_sweep(self, code: str) -> None:
        """Some of a session's connections may be gone: a sweep looks."""
        self._departed(code).needs_sweep = True

    @property
    def settled(self) -> bool:
        """Whether all is told."""
        return not self._running

    async def settle(self, timeout: float) -> None:
        """Waits until all is told, ``timeout`` seconds at the most; what is not told then never is."""
        await self._background.close(timeout)

    def _departed(self, code: str) -> Departed:
        if not self._running:
            self._running = True
            self._background.start(self._run())
        return self._waiting.setdefault(code, Departed())

    async def _run(self) -> None:
        try:
            backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
            while self._waiting:
                told = await self._try_all(list(islice(self._waiting, _MAX_CONCURRENT)))
                if not all(told):
                    # Only where nothing can be told at all the others have to wait for longer and longer.
                    if any(told):
                        backoff.reset()
                    await asyncio.sleep(backoff.next())
        finally:
            self._running = False

    async def _try_all(self, codes: list[str]) -> list[bool]:
        """Tells Redis of these sessions at a time; which of them it has taken."""
        if len(codes) == 1:
            # Mostly, and without a task it costs half.
            return [await self._try(codes[0])]
        return await asyncio.gather(*map(self._try, codes))

    async def _try(self, code: str) -> bool:
        departed = self._waiting.pop(code)
        self._number -= len(departed.connections)
        try:
            await self._tell(code, departed)
        except SessionError as error:
            if error.retryable:
                self._put_back(code, departed)
                return False
        except Exception as error:
            log_bug(_logger, "telling that connections are gone has failed", error)
        return True

    def _put_back(self, code: str, departed: Departed) -> None:
        """Behind the others, and with what has come in the meantime."""
        later = self._waiting.pop(code, Departed())
        self._number += len(departed.connections.keys() - later.connections.keys())
        self._waiting[code] = Departed(
            {**departed.connections, **later.connections},
            departed.others or later.others,
            departed.needs_sweep or later.needs_sweep,
        )
