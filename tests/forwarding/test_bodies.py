"""Bodies of polling requests for another replica's connections: read when their owner wants them, bounded as there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.forwarding.sender import new_engine_sid
from tests.harness.foreign import CONTINUE, Pair, pair_of, posting
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[Pair]:
    async with RedisServer() as redis, pair_of(redis.url()) as started:
        yield started


async def test_no_body_is_read_before_the_owner_has_said_that_it_has_the_connection(pair: Pair) -> None:
    replica = (await pair.handshake()).partition(".")[0]
    async with posting(pair.other, new_engine_sid(replica), 200_000, expect=True) as request:
        assert await request.status() == 400
    async with posting(pair.other, new_engine_sid(replica), 200_000) as request:
        await request.send(b"4")
        assert await request.status() == 400
    async with posting(pair.other, await pair.handshake(), 2, expect=True) as request:
        assert await request.head() == CONTINUE
        await request.send(b"4")
        await request.send(b"0")
        assert await request.status() == 200


async def test_a_body_that_is_too_large_is_refused_while_it_comes(pair: Pair) -> None:
    sid = await pair.handshake()
    async with posting(pair.other, sid, 100_000_000) as request:
        await request.send(b"4" + bytes(300_000))
        assert await request.status() == 413
    assert await pair.is_gone(sid)


async def test_a_body_that_is_broken_off_ends_the_connection(pair: Pair) -> None:
    sid = await pair.handshake()
    async with posting(pair.other, sid, 10, expect=True) as request:
        assert await request.head() == CONTINUE
        await request.send(b"40")
        request.break_off()

    async def gone() -> bool:
        return await pair.is_gone(sid)

    await until(gone, "the end of the connection")
