"""The heartbeat, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from app.socketio_server.heartbeat import Heartbeats

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

    def stand_still(self, seconds: float) -> None:
        self._now += seconds

    def close(self) -> None:
        self._loop.close()


class Peer:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.pings: list[float] = []
        self.misses: list[float] = []

    def ping(self) -> None:
        self.pings.append(self._clock.time())

    def missed(self) -> None:
        self.misses.append(self._clock.time())


class Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.heartbeats: Heartbeats[Peer] = Heartbeats(INTERVAL, TIMEOUT, self.clock)
        self.peer = Peer(self.clock)
        self.heartbeats.start(self.peer)


def test_a_client_is_pinged_an_interval_after_each_answer() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + 5)
    scene.heartbeats.answered(scene.peer)
    scene.clock.advance(INTERVAL)
    scene.clock.close()
    assert scene.peer.pings == [INTERVAL, 2 * INTERVAL + 5]
    assert scene.peer.misses == []


def test_an_answer_that_does_not_come_is_missed_once_after_the_timeout() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + TIMEOUT)
    scene.clock.close()
    assert scene.peer.misses == [INTERVAL + TIMEOUT]


def test_an_answer_is_overdue_even_before_a_process_that_stood_still_notices() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL)
    assert not scene.heartbeats.is_overdue(scene.peer)
    scene.clock.stand_still(TIMEOUT)
    scene.clock.close()
    assert scene.heartbeats.is_overdue(scene.peer)


def test_a_client_that_is_not_read_from_has_the_timeout_again_when_it_is() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL + 1)
    scene.heartbeats.hold(scene.peer)
    scene.clock.advance(10 * TIMEOUT)
    assert scene.peer.misses == []
    resumed = scene.clock.time()
    scene.heartbeats.resume(scene.peer)
    scene.clock.advance(2 * TIMEOUT)
    scene.clock.close()
    assert len(scene.peer.misses) == 1
    assert scene.peer.misses[0] >= resumed + TIMEOUT


def test_after_its_end_nothing_is_pinged_or_missed() -> None:
    scene = Scene()
    scene.heartbeats.stop(scene.peer)
    scene.clock.advance(10 * INTERVAL)
    scene.clock.close()
    assert scene.peer.pings == scene.peer.misses == []


def test_each_client_has_its_own_time() -> None:
    scene = Scene()
    other = Peer(scene.clock)
    scene.clock.advance(5)
    scene.heartbeats.start(other)
    scene.clock.advance(INTERVAL)
    scene.heartbeats.answered(other)
    scene.clock.advance(TIMEOUT)
    scene.clock.close()
    assert (scene.peer.pings, other.pings) == ([INTERVAL], [INTERVAL + 5])
    assert (scene.peer.misses, other.misses) == ([INTERVAL + TIMEOUT], [])


def test_an_answer_is_taken_from_a_client_that_is_not_read_from() -> None:
    scene = Scene()
    scene.clock.advance(INTERVAL)
    scene.heartbeats.hold(scene.peer)
    scene.heartbeats.answered(scene.peer)
    scene.heartbeats.resume(scene.peer)
    scene.clock.advance(INTERVAL)
    scene.clock.close()
    assert scene.peer.pings == [INTERVAL, 2 * INTERVAL]
    assert scene.peer.misses == []
