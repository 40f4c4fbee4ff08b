"""Lost connections that still have to be removed in Redis."""

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
    """What has to be removed in Redis for one session.

    ``connections``: the lost connections, each with its recovery id if that becomes void. ``others``: more connections
    were lost than can be listed, so all that are not open any more have to be removed. ``needs_sweep``: the session
    needs a sweep.
    """

    connections: dict[str, str | None] = field(default_factory=dict)
    others: bool = False
    needs_sweep: bool = False


class Departures:
    """Removes lost connections in Redis, session by session, and retries what fails."""

    def __init__(self, remove: Callable[[str, Departed], Awaitable[None]]) -> None:
        self._remove = remove
        self._waiting: dict[str, Departed] = {}
        self._number = 0
        self._background = Background("departures", _logger)
        self._running = False

    def add(self, code: str, connection: str, recovery: str | None) -> None:
        """Add a lost connection."""
        departed = self._departed(code)
        if connection in departed.connections:
            departed.connections[connection] = departed.connections[connection] or recovery
        elif self._number < _MAX_CONNECTIONS:
            departed.connections[connection] = recovery
            self._number += 1
        else:
            departed.others = True

    def schedule_sweep(self, code: str) -> None:
        """Add a sweep of a session, some of whose connections may be lost."""
        self._departed(code).needs_sweep = True

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return not self._running

    async def settle(self, timeout: float) -> None:
        """Wait until nothing is left to do, for ``timeout`` seconds at most; then give up."""
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
                done = await self._try_all(list(islice(self._waiting, _MAX_CONCURRENT)))
                if not all(done):
                    # The pause grows only while nothing succeeds, so one failing session does not delay the others.
                    if any(done):
                        backoff.reset()
                    await asyncio.sleep(backoff.next())
        finally:
            self._running = False

    async def _try_all(self, codes: list[str]) -> list[bool]:
        """Remove the connections of several sessions at once; return for which of them that succeeded."""
        if len(codes) == 1:
            # The usual case, which costs half as much without a task.
            return [await self._try(codes[0])]
        return await asyncio.gather(*map(self._try, codes))

    async def _try(self, code: str) -> bool:
        departed = self._waiting.pop(code)
        self._number -= len(departed.connections)
        try:
            await self._remove(code, departed)
        except SessionError as error:
            if error.retryable:
                self._put_back(code, departed)
                return False
        except Exception as error:
            log_bug(_logger, "telling that connections are gone has failed", error)
        return True

    def _put_back(self, code: str, departed: Departed) -> None:
        """Queue a session again, behind the others, together with what was added meanwhile."""
        later = self._waiting.pop(code, Departed())
        self._number += len(departed.connections.keys() - later.connections.keys())
        self._waiting[code] = Departed(
            {**departed.connections, **later.connections},
            departed.others or later.others,
            departed.needs_sweep or later.needs_sweep,
        )
