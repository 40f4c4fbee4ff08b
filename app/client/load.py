"""A load: sessions whose clients make changes while everything that they receive is checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from time import perf_counter
from typing import Any, Final

from app.client.checker import SessionCheck
from app.client.crowd import Crowd, Visitor
from app.client.http import request
from app.client.plan import Plan, Run

__all__ = ["CannotLoadError", "Load"]

_JOINS_PER_SECOND: Final = 100
_LAG_INTERVAL_SECONDS: Final = 0.05
# The default of the setting ``max_capacity``.
_MAX_CAPACITY: Final = 1000


class CannotLoadError(Exception):
    """The load cannot begin; the text is the reason."""


class Load:
    """One run of a load. ``phase`` is what it is doing; all attributes may be read while it runs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = "creating"
        self.interrupted = False
        self.crowds: list[Crowd] = []
        self._run = Run(plan)
        self.measured = self._run.measured

    def interrupt(self) -> None:
        """End the run early. What was done is still checked."""
        self.interrupted = True
        self._run.over.set()

    @property
    def visitors(self) -> list[Visitor]:
        return [visitor for crowd in self.crowds for visitor in crowd.visitors]

    @property
    def checks(self) -> list[SessionCheck]:
        return [crowd.check for crowd in self.crowds]

    @property
    def updates(self) -> int:
        """The number of updates that the clients have received."""
        return sum(watcher.updates for check in self.checks for watcher in check.watchers)

    async def run(self) -> None:
        """Create the sessions, run the clients, check the results and end the sessions; raises CannotLoadError."""
        background = [asyncio.create_task(self._watch_lag())]
        try:
            await _all(self._create(number) for number in range(self.plan.sessions))
            self.crowds.sort(key=lambda crowd: crowd.check.number)
            self.phase = "joining"
            background += [asyncio.create_task(visitor.run()) for visitor in self.visitors]
            background += [asyncio.create_task(crowd.compare()) for crowd in self.crowds]
            await self._gather_everybody()
            self.phase = "running"
            await self._make_changes()
            self.phase = "checking"
            await _all(crowd.settle() for crowd in self.crowds)
            for task in background:
                if task.done():
                    task.result()
        finally:
            self.phase = "ending"
            await _ended(background)
            await asyncio.gather(*(visitor.close() for visitor in self.visitors))
            await _all(crowd.end() for crowd in self.crowds)

    async def _create(self, number: int) -> None:
        url = self.plan.urls[number % len(self.plan.urls)]
        # A join of unknown outcome may take a place, and the client joins again.
        capacity = max(self.plan.clients, min(2 * self.plan.clients, _MAX_CAPACITY))
        wanted = {"title": f"Load {number}", "capacity": capacity, "leaverRatings": "keep"}
        try:
            async with self._run.turns:
                answer = await request("POST", f"{url}/api/session/create", wanted, token=self.plan.create_key)
        except ConnectionError as error:
            raise CannotLoadError(f"{url}: {error}") from error
        if answer.status != 201:
            raise CannotLoadError(f"{url}: a session was not created: {answer.message}")
        try:
            self.crowds.append(Crowd(self._run, number, answer.body["sessionID"], answer.body["hostToken"]))
        except (KeyError, TypeError) as error:
            raise CannotLoadError(f"{url}: the answer is not that of join-session") from error

    async def _gather_everybody(self) -> None:
        """Wait until all clients have joined, or until their time is up.

        A client that joins too late ends without an update.
        """
        timeout = self.plan.ramp + self.plan.deadline + len(self.visitors) / _JOINS_PER_SECOND
        there = asyncio.gather(*(visitor.ready.wait() for visitor in self.visitors))
        stopped = asyncio.create_task(self._run.over.wait())
        awaited: list[asyncio.Future[Any]] = [there, stopped]
        await asyncio.wait(awaited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        await _ended(awaited)
        if self.interrupted:
            for visitor in self.visitors:
                visitor.give_up()

    async def _make_changes(self) -> None:
        timer = asyncio.get_running_loop().call_later(self.plan.duration, self._run.over.set)
        self.measured.began, self.measured.updates_before = perf_counter(), self.updates
        try:
            await _all(visitor.live() for visitor in self.visitors)
        finally:
            timer.cancel()
            self.measured.ended, self.measured.updates_after = perf_counter(), self.updates

    async def _watch_lag(self) -> None:
        while True:
            due = perf_counter() + _LAG_INTERVAL_SECONDS
            await asyncio.sleep(_LAG_INTERVAL_SECONDS)
            self.measured.lag.append(max(0.0, perf_counter() - due))


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """Run everything concurrently; the first error cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _ended(tasks)


async def _ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
