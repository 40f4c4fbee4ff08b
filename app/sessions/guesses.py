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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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


class Guesses:
    """Counts guesses; raises ``too-many-requests`` where too many of a minute were wrong."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._replica = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def counted(self, client: Client, code: str) -> AsyncIterator[None]:
        """Count a guess during the block. It was wrong if ``passcode-wrong`` leaves the block."""
        if client.unlimited:
            yield
            return
        guess = f"{self._replica}.{next(self._numbers)}"
        limits = {f"address {client.address}": _WRONG_OF_ADDRESS, f"session {code}": _WRONG_OF_SESSION}
        await self._reserve(limits, guess)
        wrong = False
        try:
            yield
        except SessionError as error:
            wrong = error.code == "passcode-wrong"
            raise
        finally:
            await asyncio.gather(*(self._budgets.settle_guess(whose, guess, wrong=wrong) for whose in limits))

    async def _reserve(self, limits: dict[str, int], guess: str) -> None:
        clock = asyncio.get_running_loop().time
        until = within(_TIMEOUT_SECONDS)
        while True:
            used = dict(
                zip(
                    limits,
                    await asyncio.gather(
                        *(self._budgets.reserve_guess(whose, guess, most) for whose, most in limits.items())
                    ),
                    strict=True,
                )
            )
            if all(each.counted for each in used.values()):
                return
            taken = [whose for whose, each in used.items() if each.counted]
            await asyncio.gather(*(self._budgets.settle_guess(whose, guess) for whose in taken))
            for whose, most in limits.items():
                if used[whose].wrong >= most:
                    raise SessionError("too-many-requests", retry_after=used[whose].seconds_left)
            if clock() >= until:
                raise SessionError("unavailable")
            await asyncio.sleep(random.uniform(*_POLL_SECONDS))  # noqa: S311 - jitter
