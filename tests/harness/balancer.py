"""A TCP load balancer: round robin by connection, without cookies, like a Kubernetes Service without affinity."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.harness.ports import LOOPBACK, settled, stop_listening

__all__ = ["Balancer", "balancer"]


class Balancer:
    """Forwards each connection to the next of `ports`; ports that refuse are skipped."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self._turns = itertools.count()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, backlog=1024)

    async def stop(self) -> None:
        assert self._server is not None
        await stop_listening(self._server)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await settled()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            far = await self._next()
            if far is not None:
                await _join((reader, writer), far)
                await writer.wait_closed()
        except (asyncio.CancelledError, OSError):
            return
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ports, turn = self.ports, next(self._turns)
        for number in range(len(ports)):
            port = ports[(turn + number) % len(ports)]
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, port)
        return None


@asynccontextmanager
async def balancer(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """Run a balancer for loopback ports."""
    running = Balancer(ports)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def _join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter], far: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Copy bytes both ways until both ends have closed; if one end is lost, abort the other."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(near[0], far[1]))
            both.create_task(_copy(far[0], near[1]))
        near[1].close()
    except* OSError:
        near[1].transport.abort()
    finally:
        far[1].transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
