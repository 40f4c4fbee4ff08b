"""Limits failed look-ups of session codes for each address, across all replicas.

A look-up is counted before its outcome is known, at the same time as the session is read, and its result is used only
once it has been counted. A hit returns its count to the budget, a miss keeps it, so concurrent look-ups cannot exceed
the budget. Look-ups beyond the budget wait for others to return theirs. They are refused once misses alone have used up
the budget. A hit does not return its count while look-ups of the address wait at this replica, but passes it on to one
of them. It does so for a fraction of a second, because other replicas may wait for it, too.

A code that an address has found before it may miss for free: it learns nothing, and when Redis has lost its data, the
people of an office, who share an address, would lock each other out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from app.background import Background
from app.deadline import within
from app.sessions.errors import SessionError
from app.sessions.found_codes import FoundCodes
from app.sessions.ports import Budgets, Reserved
from app.sessions.rules import Rules

__all__ = ["MISSES", "LookUp", "LookUps"]

# Errors that reveal something about codes and tokens.
MISSES: Final = frozenset({"session-not-found", "unauthorized"})

# Once the budget of the deployment is used up, each address has this fraction of its own.
_SHRUNK: Final = 10
# The time that a look-up waits for others, and the interval of checks whether another replica has returned some: its
# lower and upper bound, because of two replicas in step only one would ever find any.
_TIMEOUT_SECONDS: Final = 1.5
_POLL_SECONDS: Final = (0.02, 0.05)
# For how long a count is passed on, at least and at most. They differ, so that some are returned at any time.
_PASSED_ON_SECONDS: Final = (0.05, 0.25)
_REMEMBERED: Final = 10_000

T = TypeVar("T")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str
    retry_after: float | None = None


@dataclass(eq=False, slots=True)
class _Unit:
    """One counted look-up. Concurrent look-ups of one code share it: any number of hits, at most one miss.

    ``verdict``: None once it is counted. ``apart``: nothing is read before that. ``number``: names its count, which is
    passed on until a loop time.
    """

    code: str
    apart: bool
    verdict: asyncio.Future[_Refusal | None]
    number: str = ""
    passed_on_until: float = 0
    users: int = 1
    missed: bool = False

    def decide(self, refusal: _Refusal | None) -> None:
        if not self.verdict.done():
            self.verdict.set_result(refusal)

    @property
    def counted(self) -> bool:
        return self.verdict.done() and self.verdict.result() is None

    def count(self, number: str, passed_on_until: float) -> None:
        self.number, self.passed_on_until = number, passed_on_until
        self.decide(None)

    async def until_counted(self, at: float | None = None) -> None:
        """Return once it is counted. Raise ``SessionError`` if it is refused, or at a loop time."""
        if not self.verdict.done():
            left = (within(_TIMEOUT_SECONDS) if at is None else at) - asyncio.get_running_loop().time()
            await asyncio.wait((self.verdict,), timeout=left)
        if not self.verdict.done():
            raise SessionError("unavailable")
        if refusal := self.verdict.result():
            raise SessionError(refusal.code, retry_after=refusal.retry_after)


@dataclass(eq=False, slots=True)
class _Line:
    """The look-ups of one address that are in progress at this replica.

    ``units``: by code. ``fresh``: those about to be counted. ``waiting``: those that wait for others to be returned.
    """

    address: str
    users: int = 0
    units: dict[str, _Unit] = field(default_factory=dict)
    fresh: deque[_Unit] = field(default_factory=deque)
    waiting: deque[_Unit] = field(default_factory=deque)
    queueing: bool = False
    freed: asyncio.Event = field(default_factory=asyncio.Event)


class LookUp:
    """One look-up. ``unit`` is None for clients without a rate limit."""

    def __init__(self, unit: _Unit | None) -> None:
        self._unit = unit

    async def counted(self) -> None:
        """Return once the look-up is counted."""
        if self._unit is not None:
            await self._unit.until_counted()

    async def answer(self, look: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``look`` once the look-up is counted; both run at the same time."""
        if self._unit is None:
            return await look()
        if self._unit.apart:
            await self._unit.until_counted()
            return await look()
        at = within(_TIMEOUT_SECONDS)
        found = await look()
        await self._unit.until_counted(at)
        return found


class LookUps:
    """Counts look-ups; raises ``too-many-requests`` for an address that has used up its budget."""

    def __init__(self, budgets: Budgets, rules: Rules) -> None:
        self._budgets = budgets
        self._rules = rules
        self._lines: dict[str, _Line] = {}
        # Addresses that were refused recently: their look-ups are counted before anything is read.
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._found = FoundCodes()
        self._replica = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._background = Background("look-ups", _logger)

    @asynccontextmanager
    async def counted(self, address: str, code: str) -> AsyncIterator[LookUp]:
        """Count a look-up of a code during the block.

        An error in ``MISSES`` that leaves the block makes it a miss, unless it is that there is no such session any
        more.
        """
        line = self._lines.setdefault(address, _Line(address))
        line.users += 1
        unit = self._share(line, code)
        try:
            yield LookUp(unit)
            self._found.add(address, code, asyncio.get_running_loop().time())
        except SessionError as error:
            if error.code in MISSES and not self._is_gone(error, address, code):
                await self._miss(line, unit)
            raise
        finally:
            self._leave(line, unit)
            line.users -= 1
            if not line.users:
                del self._lines[address]

    def _share(self, line: _Line, code: str) -> _Unit:
        if unit := line.units.get(code):
            unit.users += 1
            return unit
        unit = line.units[code] = self._take(line, code)
        return unit

    def _take(self, line: _Line, code: str) -> _Unit:
        apart = line.queueing or self._was_refused(line.address)
        verdict = asyncio.get_running_loop().create_future()
        unit = _Unit(code, apart, verdict)
        if line.queueing:
            line.waiting.append(unit)
        else:
            line.fresh.append(unit)
            if len(line.fresh) == 1:
                self._background.start(self._count_fresh(line))
        return unit

    async def _miss(self, line: _Line, unit: _Unit) -> None:
        if unit.missed:
            # The unit already has the miss of a concurrent look-up.
            unit = self._take(line, unit.code)
            try:
                await unit.until_counted()
            except SessionError:
                self._leave(line, unit)
                raise
        unit.missed = True
        self._forget(line, unit)
        await self._budgets.settle(line.address, (unit.number,), missed=True)
        line.freed.set()

    def _leave(self, line: _Line, unit: _Unit) -> None:
        unit.users -= 1
        if unit.users:
            return
        self._forget(line, unit)
        if not unit.counted or unit.missed:
            return
        is_recent = unit.passed_on_until > asyncio.get_running_loop().time()
        if not (is_recent and _count_first(line.waiting, unit.number, unit.passed_on_until)):
            self._give_back(line, [unit.number])

    def _forget(self, line: _Line, unit: _Unit) -> None:
        if line.units.get(unit.code) is unit:
            del line.units[unit.code]

    async def _count_fresh(self, line: _Line) -> None:
        """Count the look-ups that were started in one turn of the event loop, with one command."""
        fresh, line.fresh = line.fresh, deque()
        await self._count(line, fresh)
        line.waiting.extend(fresh)
        if line.waiting and not line.queueing:
            line.queueing = True
            try:
                await self._serve_waiting(line)
            finally:
                line.queueing = False

    async def _serve_waiting(self, line: _Line) -> None:
        while line.waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(*_POLL_SECONDS)):  # noqa: S311 - jitter
                    await line.freed.wait()
            line.freed.clear()
            line.waiting = deque(unit for unit in line.waiting if unit.users)
            await self._count(line, line.waiting)

    async def _count(self, line: _Line, units: deque[_Unit]) -> None:
        """Decide on units as far as possible; those that have to wait stay in ``units``."""
        if not units:
            return
        count = min(len(units), self._rules.miss_budget)
        numbers = [f"{self._replica}.{next(self._numbers)}" for _ in range(count)]
        try:
            used = await self._budgets.reserve(line.address, numbers, self._rules.miss_budget)
        except Exception as error:
            if not isinstance(error, SessionError):
                _logger.error("unexpected error in counting look-ups", exc_info=error)
            _refuse(units, _Refusal(error.code if isinstance(error, SessionError) else "internal-error"))
            return
        fit = min(used.counted, self._room(used))
        now = asyncio.get_running_loop().time()
        unused = numbers[fit:]
        for number in numbers[:fit]:
            until = now + random.uniform(*_PASSED_ON_SECONDS)  # noqa: S311 - jitter
            if not _count_first(units, number, until):
                unused.append(number)
        if unused:
            self._give_back(line, unused)
        if used.misses >= self._budget(used.total_misses):
            self._remember_refusal(line.address, used.seconds_left)
            _refuse(units, _Refusal("too-many-requests", used.seconds_left))

    def _budget(self, total: int) -> int:
        budget = self._rules.miss_budget
        return budget if total < self._rules.miss_budget_total else max(1, budget // _SHRUNK)

    def _room(self, used: Reserved) -> int:
        return max(0, self._budget(used.total_misses + used.total_under_way) - used.misses - used.under_way)

    def _is_gone(self, error: SessionError, address: str, code: str) -> bool:
        """Return whether there is no such session any more, although the address had found one."""
        now = asyncio.get_running_loop().time()
        return error.code == "session-not-found" and self._found.has(address, code, now)

    def _was_refused(self, address: str) -> bool:
        return self._refused.get(address, 0) > asyncio.get_running_loop().time()

    def _remember_refusal(self, address: str, seconds: float) -> None:
        self._refused[address] = asyncio.get_running_loop().time() + seconds
        self._refused.move_to_end(address)
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    def _give_back(self, line: _Line, numbers: list[str]) -> None:
        # Where look-ups wait, they ask for it at the next poll, as those of other replicas do.
        self._background.start(self._settle(line, numbers, frees=not line.waiting))

    async def _settle(self, line: _Line, numbers: list[str], *, frees: bool) -> None:
        # A count that cannot be returned expires with the window.
        with suppress(SessionError):
            await self._budgets.settle(line.address, numbers)
        if frees:
            line.freed.set()


def _count_first(units: deque[_Unit], number: str, passed_on_until: float) -> bool:
    """Count the first of ``units`` that is still wanted, and remove it; return whether there is one."""
    while units:
        unit = units.popleft()
        if unit.users:
            unit.count(number, passed_on_until)
            return True
    return False


def _refuse(units: deque[_Unit], refusal: _Refusal) -> None:
    while units:
        units.popleft().decide(refusal)
