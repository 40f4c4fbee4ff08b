"""Two replicas, and clients that send requests to the replica that does not own their connection."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.harness.here import Here, served_here

__all__ = ["ADDRESSES", "CONTINUE", "POLL", "Pair", "Request", "forwarded_for", "pair_of", "posting"]

POLL: Final = "/socket.io/?EIO=4&transport=polling"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Addresses of clients to which the limits apply.
ADDRESSES: Final = (f"192.0.2.{number}" for number in itertools.count(1))


@dataclass(frozen=True)
class Pair:
    """Connections belong to `owner`; their clients send requests to `other`."""

    owner: Here
    other: Here

    async def handshake(self, address: str | None = None) -> str:
        """Open a connection at the owner; return its session id."""
        async with httpx.AsyncClient(trust_env=False) as client:
            opened = await client.get(self.owner.url + POLL, headers=forwarded_for(address))
        sid: str = json.loads(opened.text[1:])["sid"]
        return sid

    async def is_gone(self, sid: str) -> bool:
        """Return whether the owner does not know the connection any more."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.post(f"{self.owner.url}{POLL}&sid={sid}", content="3")).status_code == 400


@asynccontextmanager
async def pair_of(redis_url: str, **settings: Any) -> AsyncIterator[Pair]:
    """Run two replicas with short heartbeats."""
    given = {"ping_interval": 1, "ping_timeout": 1, "trusted_proxies": "127.0.0.0/8", **settings}
    async with served_here(redis_url, 2, **given) as (owner, other):
        yield Pair(owner, other)


class Request:
    """A request whose body is sent by the test, part by part."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, within: float = 5) -> bytes:
        """Return the next status line and headers of the response."""
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
    """Send the headers of a POST to a connection. The test sends the body, of ``length`` bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    fields = {"Host": "x", "Content-Length": str(length), **forwarded_for(address)}
    if expect:
        fields["Expect"] = "100-continue"
    lines = [f"POST {POLL}&sid={sid} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    try:
        request = Request(reader, writer)
        await request.send("\r\n".join([*lines, "", ""]).encode())
        yield request
    finally:
        writer.close()


def forwarded_for(address: str | None) -> dict[str, str]:
    return {"X-Forwarded-For": address or next(ADDRESSES)}
