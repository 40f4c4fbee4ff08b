"""Bodies of polling requests for another replica's connections: read when their owner wants them, bounded as there."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from app.realtime.forwarding import session_id
from tests.harness.here import Here, served_here
from tests.harness.redis import RedisServer, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLL = "EIO=4&transport=polling"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Clients in a network that is not free of caps.
ADDRESSES = (f"192.0.2.{number}" for number in itertools.count(1))


@dataclass(frozen=True)
class Pair:
    """Two replicas whose heartbeats are fast, and where each address may have one connection."""

    owner: Here
    other: Here

    async def handshake(self, address: str | None = None) -> str:
        """A new connection at the owner."""
        async with httpx.AsyncClient(trust_env=False) as client:
            opened = await client.get(f"{self.owner.url}/socket.io/?{POLL}", headers=forwarded_for(address))
        sid: str = json.loads(opened.text[1:])["sid"]
        return sid

    async def is_gone(self, sid: str) -> bool:
        """Whether the owner knows of no such connection any more."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.post(f"{self.owner.url}/socket.io/?{POLL}&sid={sid}", content="3")).status_code == 400


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[Pair]:
    settings = {
        "ping_interval": 1,
        "ping_timeout": 1,
        "trusted_proxies": "127.0.0.0/8",
        "max_connections_per_address": 1,
    }
    async with RedisServer() as redis, served_here(redis.url(), 2, **settings) as (owner, other):
        yield Pair(owner, other)


class Request:
    """A request whose body the client sends when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, within: float = 5) -> bytes:
        """The next head of an answer."""
        async with asyncio.timeout(within):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def status(self, within: float = 5) -> int:
        return int((await self.head(within)).split(b" ")[1])

    def break_off(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def posting(
    replica: Here, sid: str, length: int, *, address: str | None = None, expect: bool = False
) -> AsyncIterator[Request]:
    """The head of a POST for a connection; the body, of ``length`` bytes, is up to the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    fields = {"Host": "x", "Content-Length": str(length), **forwarded_for(address)}
    if expect:
        fields["Expect"] = "100-continue"
    lines = [f"POST /socket.io/?{POLL}&sid={sid} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    try:
        request = Request(reader, writer)
        await request.send("\r\n".join([*lines, "", ""]).encode())
        yield request
    finally:
        writer.close()


def forwarded_for(address: str | None) -> dict[str, str]:
    return {"X-Forwarded-For": address or next(ADDRESSES)}


async def test_no_body_is_read_before_the_owner_has_said_that_it_has_the_connection(pair: Pair) -> None:
    replica = (await pair.handshake()).partition(".")[0]
    async with posting(pair.other, session_id(replica), 200_000, expect=True) as request:
        assert await request.status() == 400
    async with posting(pair.other, session_id(replica), 200_000) as request:
        await request.send(b"4")
        assert await request.status() == 400
    async with posting(pair.other, await pair.handshake(), 2, expect=True) as request:
        assert await request.head() == CONTINUE
        await request.send(b"4")
        await request.send(b"0")
        assert await request.status() == 200


async def test_a_body_has_no_more_time_than_its_connection_has_to_answer_a_heartbeat(pair: Pair) -> None:
    sid = await pair.handshake()
    async with posting(pair.other, sid, 200_000) as request:
        await request.send(b"4")
        assert await request.status() == 400
    assert await pair.is_gone(sid)


async def test_one_body_at_a_time_wherever_it_is_sent(pair: Pair) -> None:
    sid = await pair.handshake()
    async with posting(pair.other, sid, 2, expect=True) as first, posting(pair.other, sid, 2) as second:
        assert await first.head() == CONTINUE
        await second.send(b"40")
        assert await second.status() == 400
        assert await first.status() == 400
    assert await pair.is_gone(sid)


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


async def test_an_address_has_two_requests_passed_on_for_each_connection_that_it_may_have(pair: Pair) -> None:
    address = next(ADDRESSES)
    sid = await pair.handshake(address)
    async with (
        posting(pair.other, sid, 2, address=address, expect=True) as first,
        posting(pair.other, session_id("0123456789ab"), 2) as unknown,
    ):
        assert await first.head() == CONTINUE
        assert await unknown.status() == 400
        async with httpx.AsyncClient(trust_env=False, headers={"X-Forwarded-For": address}) as client:
            url = f"{pair.other.url}/socket.io/?{POLL}&sid={sid}"
            # Whichever comes first is the second request under way, until a heartbeat answers it.
            polls = await asyncio.gather(*(client.get(url) for _ in range(3)))
            assert sorted(poll.status_code for poll in polls) == [200, 429, 429]
            await first.send(b"40")
            assert await first.status() == 200
