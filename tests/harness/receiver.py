"""A receiver of webhooks on loopback that answers as a test wants it to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tests.harness.ports import LOOPBACK

__all__ = ["HANG", "SECRET", "Received", "Receiver", "receiving"]

SECRET: Final = "whsec_" + "QUFB" * 11
HANG: Final = 0
"""A status that is never answered."""


@dataclass(frozen=True)
class Received:
    """An attempt: its headers, its body, and the status that it was answered with."""

    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """`answer` makes a status of the number of an attempt."""

    port: int
    answer: Callable[[int], int]
    scheme: str
    attempts: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}/hook?from=sessions"

    def taken(self, code: str) -> list[Received]:
        """What was taken of one session, in order, each once."""
        mine = [each for each in self.attempts if each.status == 200 and each.event["data"]["sessionID"] == code]
        return list({each.id: each for each in reversed(mine)}.values())[::-1]

    def kinds(self, code: str) -> list[str]:
        return [each.event["type"] for each in self.taken(code)]


@asynccontextmanager
async def receiving(
    answer: Callable[[int], int] = lambda _: 200, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver(port, answer, "http" if tls is None else "https")
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            assert lines[0] == "POST /hook?from=sessions HTTP/1.1"
            body = await reader.readexactly(int(headers["content-length"]))
            status = receiver.answer(len(receiver.attempts))
            receiver.attempts.append(Received(headers, body, status))
            if status == HANG:
                await reader.read()
                return
            # A redirect leads to where it would be taken.
            writer.write(b"HTTP/1.1 %d Word\r\nLocation: /hook?from=sessions\r\nContent-Length: 2\r\n\r\nhi" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in list(open_ones):
            writer.close()
        await server.wait_closed()
