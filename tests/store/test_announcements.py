"""What replicas tell each other of sessions: those of another version are understood as far as they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient, Script
from app.sessions.head import Head
from app.store.announcements import Announcement, Announcements
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer

PUBLISH = Script("publish", "return redis.call('SPUBLISH', KEYS[1], ARGV[1])")
CODE = "ABCDEFGHJK"


class Told:
    """Notes what it is told."""

    def __init__(self, told: asyncio.Queue[object]) -> None:
        self._told = told

    def announced(self, _code: str, announcement: Announcement) -> None:
        self._told.put_nowait(announcement)

    def extended(self, _code: str, expires_at: int) -> None:
        self._told.put_nowait(expires_at)

    def missed(self, codes: Iterable[str] | None) -> None:
        self._told.put_nowait(None if codes is None else list(codes))


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        ("epoch-7  1700000000000", Announcement(Head("epoch", 7), "", 1700000000000)),
        ("ended  1700000000000", Announcement(None, "", 1700000000000)),
        ("ended  1700000000000 why", Announcement(None, "", 1700000000000)),
        ("expires 1700000000000", 1700000000000),
        (
            'epoch-7 00-trace 1700000000000 {"expires": 5, "fields": {"p:a": "1|2|Ann Bo", "d:a": null}, "later": 1}',
            Announcement(Head("epoch", 7), "00-trace", 1700000000000, 5, {b"p:a": b"1|2|Ann Bo", b"d:a": None}),
        ),
        ('epoch-7  1700000000000 {"expires": 5}', Announcement(Head("epoch", 7), "", 1700000000000, 5)),
        ("epoch-7  1700000000000 and more words", [CODE]),
        ('epoch-7  1700000000000 {"fields": {}}', [CODE]),
        ('epoch-7  1700000000000 {"expires": 5, "fields": []}', [CODE]),
        ('epoch-7  1700000000000 {"expires": 5, "fields": {"host": 7}}', [CODE]),
        ("expires soon", [CODE]),
        ("epoch-7", [CODE]),
        ('{"head": "epoch-7"}', [CODE]),
        ("epoch  soon", [CODE]),
        (b"\xff\xfe", [CODE]),
    ],
    ids=str,
)
async def test_an_announcement_of_another_version_is_read_or_makes_the_room_read(
    redis_server: RedisServer, message: str | bytes, heard: Announcement | int | list[str]
) -> None:
    told: asyncio.Queue[object] = asyncio.Queue()

    connection = RedisClient.connect(redis_server.url())
    announcements = Announcements(connection, KEYS, timeout=5, metrics=Metrics())
    announcements.listen(Told(told))
    await announcements.start()
    try:
        await announcements.subscribe(CODE)
        await connection.run(PUBLISH, [KEYS.channel(CODE)], [message])
        async with asyncio.timeout(5):
            assert await told.get() == heard
        assert told.empty()
    finally:
        await announcements.close()
        await connection.close()
