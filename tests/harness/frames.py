"""A WebSocket client that writes and reads frame by frame."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.harness.wire import UPGRADE

__all__ = [
    "BINARY",
    "CLOSE",
    "COMPRESSED",
    "CONTINUATION",
    "EXTENSION",
    "LAST",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "FrameClient",
    "client_frame",
    "frame_client",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LAST, COMPRESSED = 0x80, 0x40

EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate"
"""The field that offers compression."""

_TIMEOUT_SECONDS = 10.0


def client_frame(payload: bytes, first: int = TEXT, *, fin: bool = True) -> bytes:
    """A frame of a client, masked with zeros."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((fin << 7 | first,)) + length + bytes(4) + payload


class Frame(NamedTuple):
    """A frame; ``first`` is its first byte."""

    first: int
    payload: bytes


class FrameClient:
    """An open WebSocket; ``head`` is the answer to the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._writer = writer
        self.head = head

    async def send(self, payload: bytes, first: int = TEXT, *, fin: bool = True, times: int = 1) -> None:
        """Send a frame, so many times."""
        self._writer.write(client_frame(payload, first, fin=fin) * times)
        await self._writer.drain()

    async def frame(self) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            first, size = await self._reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
            return Frame(first, await self._reader.readexactly(size))

    def segments(self) -> int:
        """Return how many TCP segments with data have arrived: ``tcpi_data_segs_in`` of Linux's ``tcp_info``."""
        connection = self._writer.get_extra_info("socket")
        (count,) = struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 152)
        return int(count)


@asynccontextmanager
async def frame_client(address: str, target: str, field: str = "") -> AsyncIterator[FrameClient]:
    """A WebSocket to ``host:port``, with a further field in its handshake."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        fields = UPGRADE + (f"{field}\r\n" if field else "")
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        yield FrameClient(reader, writer, head.decode())
    finally:
        writer.transport.abort()
