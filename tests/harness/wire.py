"""Connections with hand-written requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.harness.ports import LOOPBACK

__all__ = ["UPGRADE", "Answer", "Wire", "refusal", "wire"]

# The headers of a WebSocket handshake.
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)

Answer = tuple[int, dict[str, str], bytes]


class Wire:
    """A connection with hand-written requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, *parts: str | bytes) -> None:
        for part in parts:
            self._writer.write(part.encode() if isinstance(part, str) else part)
        await self._writer.drain()

    async def answer(self, timeout: float = 3) -> Answer:
        """Return the status, the headers (lower case) and the body of the next response."""
        async with asyncio.timeout(timeout):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split(" ")[1]), headers, body

    async def ask(self, *parts: str | bytes) -> Answer:
        """Send a request and return the response."""
        await self.write(*parts)
        return await self.answer()

    async def closed(self, timeout: float = 3) -> bool:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(timeout):
            try:
                while await self._reader.read(65_536):
                    pass
            except ConnectionError:
                pass
        return True


@asynccontextmanager
async def wire(port: int, *, source: str = LOOPBACK) -> AsyncIterator[Wire]:
    """Open a connection to a port from an address."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(source, 0))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def refusal(answer: Answer) -> tuple[int, str]:
    """Return the status and code of an error response, whose body and header have the same code."""
    status, headers, body = answer
    assert headers["content-type"] == "application/json"
    error: dict[str, Any] = json.loads(body)
    assert isinstance(error["message"], str)
    assert error["code"] == headers["x-error-code"]
    return status, error["code"]
