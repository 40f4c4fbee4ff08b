"""Rate limits for failed look-ups and for the creation of sessions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from app.sessions.errors import SessionError
from app.sessions.look_ups import MISSES, LookUp, LookUps
from app.sessions.ports import Budgets
from app.sessions.rules import Rules

__all__ = ["Admission", "Client", "SocketMisses"]

_MINUTE: Final = 60.0
_UNLIMITED: Final = nullcontext(LookUp(None))


@dataclass(slots=True)
class SocketMisses:
    """The failed look-ups of one socket within a minute, which begins with the first of them."""

    count: int = 0
    ends: float = 0

    def seconds_left(self, now: float) -> float:
        return max(0.0, self.ends - now)

    def add(self, now: float) -> None:
        if now >= self.ends:
            self.count, self.ends = 0, now + _MINUTE
        self.count += 1


@dataclass(slots=True)
class Client:
    """The client of a request, for rate limits. A socket also has a count of its own failed look-ups."""

    address: str
    unlimited: bool = False
    socket_misses: SocketMisses | None = None


class Admission:
    """Enforces the rate limits: the methods raise ``too-many-requests`` for a client that exceeds them."""

    def __init__(self, budgets: Budgets, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self._budgets = budgets
        self._look_ups = LookUps(budgets, rules)
        self._rules = rules
        self._clock = clock

    def look_up(self, client: Client, code: str) -> AbstractAsyncContextManager[LookUp]:
        """Allow a look-up of a code in the block.

        An error in ``MISSES`` that leaves the block makes it a failed look-up.
        """
        return _UNLIMITED if client.unlimited else self._counted(client, code)

    @asynccontextmanager
    async def _counted(self, client: Client, code: str) -> AsyncIterator[LookUp]:
        socket = client.socket_misses
        if socket and socket.count >= self._rules.miss_budget and (left := socket.seconds_left(self._clock())):
            raise SessionError("too-many-requests", retry_after=left)
        try:
            async with self._look_ups.counted(client.address, code) as look_up:
                yield look_up
        except SessionError as error:
            if error.code in MISSES and socket is not None:
                socket.add(self._clock())
            raise

    async def note(self, error: SessionError, client: Client, code: str) -> None:
        """Count ``error`` as a failed look-up, if it is one. Used for failures found after the look-up."""
        if error.code not in MISSES:
            return
        async with self.look_up(client, code) as look_up:
            await look_up.counted()
            raise error

    async def creation(self, client: Client) -> None:
        """Count a session that is about to be created."""
        if client.unlimited:
            return
        used = await self._budgets.add_create(client.address)
        if used.times > self._rules.create_budget:
            raise SessionError("too-many-requests", retry_after=used.seconds_left)
