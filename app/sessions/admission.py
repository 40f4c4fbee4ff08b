"""How often a client may fail to find a session, and create one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.sessions.errors import SessionError
from app.sessions.ports import Budgets, Usage
from app.sessions.rules import Rules

__all__ = ["Admission", "Client"]

# Once the whole deployment's budget of failed look-ups is spent, an address has this part of its own.
_SHRUNK: Final = 10


@dataclass(slots=True)
class Client:
    """Who asks, for the budgets. A socket keeps its own count of failed look-ups, too."""

    address: str
    unlimited: bool = False
    socket_misses: int | None = None


class Admission:
    """Counts and refuses; every method raises ``too-many-requests`` for a client that has spent its budget."""

    def __init__(self, budgets: Budgets, rules: Rules) -> None:
        self._budgets = budgets
        self._rules = rules

    async def check(self, client: Client) -> None:
        """Lets a client look a session up."""
        if client.unlimited:
            return
        used = await self._budgets.misses(client.address)
        if client.socket_misses is not None:
            # The address has the misses of all its sockets: with its minute theirs begins anew.
            client.socket_misses = min(client.socket_misses, used.address)
        if used.address >= self._budget(used) or (client.socket_misses or 0) >= self._rules.miss_budget:
            raise SessionError("too-many-requests", retry_after=used.seconds_left)

    async def miss(self, client: Client) -> None:
        """Counts a failed look-up, or a token that is not good."""
        if client.unlimited:
            return
        if client.socket_misses is not None:
            client.socket_misses += 1
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
