"""Limits wrong passcodes, for each address and for each session, across all replicas.

A guess is counted before anybody learns whether it is right, and given back if it is, so concurrent guesses cannot
exceed the limits. Guesses that do not fit beside others under way wait for those: people who know the passcode may come
all at once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from app.deadline import within
from app.sessions.admission import Client
from app.sessions.errors import SessionError
from app.sessions.ports import Budgets

__all__ = ["Guesses"]

_WRONG_OF_ADDRESS: Final = 10
_WRONG_OF_SESSION: Final = 100
_TIMEOUT_SECONDS: Final = 1.5
_POLL_SECONDS: Final = (0.01, 0.03)


@dataclass(eq=False, slots=True)
class _Line:
    """The guesses of one address at this replica."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_WRONG_OF_ADDRESS))
    users: int = 0


class Guesses:
    """Counts guesses; raises ``too-many-requests`` where too many of a minute were wrong."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._replica = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def counted(self, client: Client, code: str) -> AsyncIterator[None]:
        """Count a guess during the block. It was wrong if ``passcode-wrong`` leaves the block."""
        if client.unlimited:
            yield
            return
        async with self._turn(client.address), self._counted(client, code):
            yield

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """Wait for others of an address at this replica, so that no more ask Redis at a time than may be wrong."""
        line = self._lines.setdefault(address, _Line())
        line.users += 1
        try:
            async with asyncio.timeout_at(within(_TIMEOUT_SECONDS)) as waiting:
                await line.turns.acquire()
                waiting.reschedule(None)
                try:
                    yield
                finally:
                    line.turns.release()
        except TimeoutError:
            raise SessionError("unavailable") from None
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[address]

    @asynccontextmanager
    async def _counted(self, client: Client, code: str) -> AsyncIterator[None]:
        guess = f"{self._replica}.{next(self._numbers)}"
        counters = {f"address {client.address}": _WRONG_OF_ADDRESS, f"session {code}": _WRONG_OF_SESSION}
        await self._reserve(counters, guess)
        wrong = False
        try:
            yield
        except SessionError as error:
            wrong = error.code == "passcode-wrong"
            raise
        finally:
            await self._settle(counters, guess, wrong=wrong)

    async def _reserve(self, counters: Mapping[str, int], guess: str) -> None:
        clock = asyncio.get_running_loop().time
        until = within(_TIMEOUT_SECONDS)
        while True:
            asked = [self._budgets.reserve_guess(whose, guess, most) for whose, most in counters.items()]
            used = dict(zip(counters, await asyncio.gather(*asked), strict=True))
            if all(each.counted for each in used.values()):
                return
            await self._settle(counters, guess)
            for whose, most in counters.items():
                if used[whose].wrong >= most:
                    raise SessionError("too-many-requests", retry_after=used[whose].seconds_left)
            if clock() >= until:
                raise SessionError("unavailable")
            await asyncio.sleep(random.uniform(*_POLL_SECONDS))  # noqa: S311 - jitter

    async def _settle(self, counters: Iterable[str], guess: str, *, wrong: bool = False) -> None:
        await asyncio.gather(*(self._budgets.settle_guess(whose, guess, wrong=wrong) for whose in counters))
