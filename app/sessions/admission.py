"""How often a client may fail to find a session, and create one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.sessions.errors import SessionError
from app.sessions.ports import Budgets, Usage
from app.sessions.rules import Rules

__all__ = ["Admission", "Client", "SocketMisses"]

# Once the whole deployment's budget of failed look-ups is spent, an address has this part of its own.
_SHRUNK: Final = 10
_MINUTE: Final = 60.0


@dataclass(slots=True)
class SocketMisses:
    """Failed look-ups of one socket within a minute that begins with the first."""

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
    """Who asks, for the budgets. A socket keeps its own count of failed look-ups, too."""

    address: str
    unlimited: bool = False
    socket_misses: SocketMisses | None = None


class Admission:
    """Counts and refuses; every method raises ``too-many-requests`` for a client that has spent its budget."""

    def __init__(self, budgets: Budgets, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self._budgets = budgets
        self._rules = rules
        self._clock = clock

    async def check(self, client: Client) -> None:
        """Lets a client look a session up."""
        if client.unlimited:
            return
        socket = client.socket_misses
        if socket and socket.count >= self._rules.miss_budget and (left := socket.seconds_left(self._clock())):
            raise SessionError("too-many-requests", retry_after=left)
        used = await self._budgets.misses(client.address)
        if used.address >= self._budget(used):
            raise SessionError("too-many-requests", retry_after=used.seconds_left)

    async def miss(self, client: Client) -> None:
        """Counts a failed look-up, or a token that is not good."""
        if client.unlimited:
            return
        if client.socket_misses is not None:
            client.socket_misses.add(self._clock())
        used = await self._budgets.add_miss(client.address)
        if used.address > self._budget(used):
            raise SessionError("too-many-requests", retry_after=used.seconds_left)

    async def creation(self, client: Client) -> None:
        """Counts a session that is about to be created."""
        if client.unlimited:
            return
        used = await self._budgets.add_create(client.address)
        if used.address > self._rules.create_budget:
            raise SessionError("too-many-requests", retry_after=used.seconds_left)

    def _budget(self, used: Usage) -> int:
        budget = self._rules.miss_budget
        return budget if used.total < self._rules.miss_budget_total else max(1, budget // _SHRUNK)
