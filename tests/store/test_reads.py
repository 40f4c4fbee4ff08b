"""Sessions that are wanted at the same time are read by one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.redis_client.client import RedisClient
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.store.keys import Keys
from app.store.reads import SessionReads
from tests.harness.redis import RedisServer

KEYS = Keys("js")


@pytest_asyncio.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[RedisClient]:
    connected = RedisClient.connect(redis_server.url(), timeout=1)
    for code in ("111111", "222222"):
        await connected.execute("HSET", KEYS.session(code), "epoch", "e", "version", code)
        await connected.execute("PEXPIRE", KEYS.session(code), 60_000)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def reads(client: RedisClient) -> AsyncIterator[SessionReads]:
    opened = SessionReads(client, KEYS)
    yield opened
    await opened.close()


async def calls(server: RedisServer, command: str) -> int:
    """How often the server has had a command since the last ``CONFIG RESETSTAT``."""
    for line in (await server.call("INFO", "commandstats")).decode().splitlines():
        if line.startswith(f"cmdstat_{command}:calls="):
            return int(line.partition("=")[2].partition(",")[0])
    return 0


async def test_each_session_is_read_once_for_all_who_want_it_in_one_turn(
    redis_server: RedisServer, reads: SessionReads
) -> None:
    await redis_server.call("CONFIG", "RESETSTAT")
    wanted = [reads.together(code) for code in ("111111", "222222", "333333") * 10]
    found = await asyncio.gather(*wanted)
    assert [stored and stored.head for stored in found] == [Head("e", 111111), Head("e", 222222), None] * 10
    assert await calls(redis_server, "hgetall") == 3
    # What is wanted later sees what has changed since.
    await redis_server.call("HSET", KEYS.session("111111"), "version", 7)
    assert (stored := await reads.together("111111")) is not None
    assert stored.head == Head("e", 7)


async def test_who_gives_up_takes_nothing_from_the_others(reads: SessionReads) -> None:
    gone, stays = reads.together("111111"), reads.together("111111")
    gone.cancel()
    assert await stays is not None


async def test_what_is_no_session_fails_alone(redis_server: RedisServer, reads: SessionReads) -> None:
    await redis_server.call("SET", KEYS.session("333333"), "x")
    await redis_server.call("HSET", KEYS.session("444444"), "epoch", "e")
    await redis_server.call("PEXPIRE", KEYS.session("444444"), 60_000)
    codes = ("111111", "333333", "444444", "222222")
    found = await asyncio.gather(*(reads.together(code) for code in codes), return_exceptions=True)
    assert [isinstance(outcome, SessionError) for outcome in found] == [False, True, True, False]
    for code in codes[1:3]:
        with pytest.raises(SessionError, match="unavailable"):
            await reads.alone(code)


async def test_without_redis_all_fail_in_time(redis_server: RedisServer, reads: SessionReads) -> None:
    redis_server.pause()
    try:
        async with asyncio.timeout(3):
            found = await asyncio.gather(*(reads.together("111111") for _ in range(10)), return_exceptions=True)
    finally:
        redis_server.resume()
    assert {str(outcome) for outcome in found} == {"unavailable: Service unavailable"}


async def test_a_bug_in_a_read_is_an_error_for_all_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    # What has no such method fails as a bug of ours would.
    reads = SessionReads(object(), KEYS)  # type: ignore[arg-type]
    found = await asyncio.gather(*(reads.together("111111") for _ in range(3)), return_exceptions=True)
    assert {getattr(outcome, "code", outcome) for outcome in found} == {"internal-error"}
    await reads.close()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["background task failed"]
