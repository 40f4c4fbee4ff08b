"""The heartbeat, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from app.socketio_server.heartbeat import Heartbeat

INTERVAL: Final = 25.0
TIMEOUT: Final = 20.0


class Clock:
    """Timers that run when `advance` passes their time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], Any], /) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, (), self._loop)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer.when() <= end]:
            timer = min(due, key=lambda each: each.when())
            self._timers.remove(timer)
            self._now = max(self._now, timer.when())
            if not timer.cancelled():
                timer._run()
        self._now = end

    def close(self) -> None:
        self._loop.close()


class Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.pings: list[float] = []
        self.missed: list[float] = []
        self.heartbeat = Heartbeat(
            self.clock,
            INTERVAL,
            TIMEOUT,
            ping=lambda: self.pings.append(self.clock.time()),
            missed=lambda: self.missed.append(self.clock.time()),
        )


def test_a_client_is_pinged_an_interval_after_each_answer() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + 5)
    scene.heartbeat.answered()
    scene.clock.advance(INTERVAL)
    scene.clock.close()
    assert scene.pings == [INTERVAL, 2 * INTERVAL + 5]
    assert scene.missed == []


def test_an_answer_that_does_not_come_is_missed_once_after_the_timeout() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + TIMEOUT)
    scene.clock.close()
    assert scene.missed == [INTERVAL + TIMEOUT]
    assert scene.heartbeat.overdue


def test_a_client_that_is_not_read_from_has_the_timeout_again_when_it_is() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + 1)
    scene.heartbeat.hold()
    scene.clock.advance(10 * TIMEOUT)
    assert scene.missed == []
    resumed = scene.clock.time()
    scene.heartbeat.resume()
    scene.clock.advance(2 * TIMEOUT)
    scene.clock.close()
    assert len(scene.missed) == 1
    assert scene.missed[0] >= resumed + TIMEOUT


def test_after_its_end_nothing_is_pinged_or_missed() -> None:
    scene = Scene()
    scene.heartbeat.stop()
    scene.clock.advance(10 * INTERVAL)
    scene.clock.close()
    assert scene.pings == scene.missed == []
