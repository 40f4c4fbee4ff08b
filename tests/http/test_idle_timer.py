"""The timer for connections without a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.http.idle import IdleTimer
from app.replica import listener
from tests.harness.here import served_here
from tests.harness.redis import RedisServer
from tests.harness.wire import wire

SECONDS = 0.1


class Idle:
    """A timer, and when it called."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.timer = IdleTimer(self.loop, SECONDS)
        self.called: asyncio.Future[float] = self.loop.create_future()

    def start(self) -> float:
        self.timer.start(lambda: self.called.set_result(self.loop.time()))
        return self.loop.time()


@pytest.fixture
async def idle() -> AsyncIterator[Idle]:
    idle = Idle()
    yield idle
    idle.timer.close()


async def test_it_calls_when_its_seconds_are_over(idle: Idle) -> None:
    started = idle.start()
    assert await idle.called >= started + SECONDS


async def test_each_start_begins_its_seconds_again(idle: Idle) -> None:
    idle.start()
    await asyncio.sleep(SECONDS / 2)
    idle.timer.stop()
    started = idle.start()
    assert await idle.called >= started + SECONDS


async def test_it_can_be_started_after_it_fired_while_stopped(idle: Idle) -> None:
    idle.start()
    idle.timer.stop()
    await asyncio.sleep(2 * SECONDS)
    assert not idle.called.done()
    started = idle.start()
    assert await idle.called >= started + SECONDS


async def test_a_closed_one_never_calls(idle: Idle) -> None:
    idle.start()
    idle.timer.close()
    await asyncio.sleep(2 * SECONDS)
    assert not idle.called.done()


@pytest.mark.parametrize("path", ["/api/session/join", "/nothing"])
async def test_a_connection_is_closed_when_no_request_follows(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_KEEP_ALIVE_SECONDS", SECONDS)
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
    async with RedisServer() as redis, served_here(redis.url()) as (replica,), wire(replica.port) as connection:
        for _ in range(3):
            answered = asyncio.get_running_loop().time()
            assert (await connection.ask(request))[0] in (400, 404)
        assert await connection.closed()
        assert asyncio.get_running_loop().time() >= answered + SECONDS
