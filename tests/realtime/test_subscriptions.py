"""Which sessions a replica hears of, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.observability.metrics import Metrics
from app.realtime.subscriptions import Subscriptions
from app.redis_client.client import RedisClient
from app.redis_client.reply import array, texts
from app.sessions.errors import SessionError
from app.store.announcements import Announcements
from app.store.replicas import RedisReplicas
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

IDLE_SECONDS = 0.2


class Listening:
    """Subscriptions of a replica, and what Redis knows of them."""

    def __init__(self, redis: RedisClient, subscriptions: Subscriptions) -> None:
        self.redis = redis
        self.subscriptions = subscriptions

    async def channels(self) -> set[str]:
        return set(texts(await self.redis.execute("PUBSUB", "SHARDCHANNELS")))

    async def listed(self) -> set[str]:
        return set(texts(array(await self.redis.execute("SMEMBERS", KEYS.replica_codes("one")))))


@pytest.fixture
async def listening(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    monkeypatch.setattr("app.realtime.subscriptions._IDLE_SECONDS", IDLE_SECONDS)
    monkeypatch.setattr("app.realtime.subscriptions._INTERVAL_SECONDS", IDLE_SECONDS)
    redis = RedisClient.connect(redis_server.url())
    announcements = Announcements(redis, KEYS, timeout=1.5, metrics=Metrics())
    await announcements.start()
    subscriptions = Subscriptions(announcements, RedisReplicas(redis, KEYS, "one", lease=10))
    yield Listening(redis, subscriptions)
    await subscriptions.close()
    await announcements.close()
    await redis.close()


async def test_a_session_that_is_released_is_left_some_time_later(listening: Listening) -> None:
    for code in ("one", "two"):
        await listening.subscriptions.open(code)
        listening.subscriptions.release(code)
    assert await listening.channels() == {KEYS.channel("one"), KEYS.channel("two")}
    assert await listening.listed() == {"one", "two"}

    async def left() -> bool:
        return not await listening.channels() and not await listening.listed()

    await until(left, "both sessions are left")


async def test_a_session_that_is_opened_again_meanwhile_is_kept(listening: Listening) -> None:
    subscriptions = listening.subscriptions
    for _ in range(3):
        await subscriptions.open("kept")
        subscriptions.release("kept")
    await subscriptions.open("kept")
    await subscriptions.open("left")
    subscriptions.release("left")

    async def left() -> bool:
        return await listening.listed() == {"kept"}

    await until(left, "the other session is left")
    assert await listening.channels() == {KEYS.channel("kept")}


async def test_the_session_that_was_released_first_is_left_at_once_when_there_are_too_many(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.subscriptions._IDLE_SECONDS", 60)
    monkeypatch.setattr("app.realtime.subscriptions._MAX_IDLE", 2)
    for code in ("one", "two", "three"):
        await listening.subscriptions.open(code)
        listening.subscriptions.release(code)

    async def left() -> bool:
        return await listening.listed() == {"two", "three"}

    await until(left, "the first session is left")
    assert await listening.channels() == {KEYS.channel("two"), KEYS.channel("three")}


async def test_sessions_that_are_released_at_once_are_left_but_for_the_newest(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.subscriptions._IDLE_SECONDS", 60)
    monkeypatch.setattr("app.realtime.subscriptions._MAX_IDLE", 2)
    codes = [f"code{number}" for number in range(10)]
    for code in codes:
        await listening.subscriptions.open(code)
    for code in codes:
        listening.subscriptions.release(code)
    # One that is wanted again in the same turn of the event loop is not left.
    await listening.subscriptions.open("code3")

    async def left() -> bool:
        return await listening.listed() == {"code3", "code8", "code9"}

    await until(left, "the others are left")
    assert await listening.channels() == {KEYS.channel(code) for code in ("code3", "code8", "code9")}


async def test_a_session_that_could_not_be_opened_is_opened_the_next_time(
    listening: Listening, redis_server: RedisServer
) -> None:
    subscriptions = listening.subscriptions
    redis_server.pause()
    try:
        with pytest.raises(SessionError, match="unavailable"):
            await subscriptions.open("one")
        subscriptions.release("one")
    finally:
        redis_server.resume()

    async def opened() -> bool:
        try:
            await subscriptions.open("one")
        except SessionError:
            return False
        return True

    await until(opened, "it is opened")
    assert await listening.channels() == {KEYS.channel("one")}
    assert await listening.listed() == {"one"}


async def test_all_sessions_are_listed_again(listening: Listening) -> None:
    """After other replicas have taken this one for dead, also those which it is about to leave."""
    await listening.subscriptions.open("one")
    await listening.subscriptions.open("two")
    listening.subscriptions.release("two")
    await listening.redis.execute("UNLINK", KEYS.replica_codes("one"))
    await listening.subscriptions.list_again()
    assert await listening.listed() == {"one", "two"}
