"""A TCP proxy that simulates network faults."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from tests.harness.ports import LOOPBACK, free_port, settled, stop_listening


class FaultProxy:
    """Forwards a loopback port to `port` of `host`; `delay` is in seconds per chunk and direction.

    With further `ports` it uses one of them as long as that accepts connections, like a load balancer with affinity.
    """

    def __init__(self, *ports: int, host: str = LOOPBACK) -> None:
        self.delay = 0.0
        self.port = free_port()
        self._host = host
        self._ports = deque(ports)
        self._server: asyncio.Server | None = None
        self._pipes: set[_Pipe] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self.thaw()

    @property
    def connections(self) -> int:
        """The number of open connections, half-open ones included."""
        return len(self._pipes)

    @property
    def target(self) -> int:
        """The port that is tried first for the next connection."""
        return self._ports[0]

    def turn(self) -> None:
        """Connect to the next of the ports from now on; existing connections stay."""
        self._ports.rotate(-1)

    async def accept(self) -> None:
        """Listen, at first or again after `refuse`."""
        self._server = await asyncio.start_server(self._accepted, LOOPBACK, self.port)

    async def refuse(self) -> None:
        """Refuse new connections; existing ones stay."""
        if self._server is not None:
            await stop_listening(self._server)
            self._server = None

    def cut(self) -> None:
        """Reset every connection."""
        for pipe in tuple(self._pipes):
            pipe.abort()

    def half_open(self) -> None:
        """Stop forwarding on all current connections without closing them; new ones work."""
        for pipe in self._pipes:
            pipe.silent = True

    def freeze(self, *, answers_only: bool = False) -> None:
        """Hold back all data, or all from the target, also of new connections, until `thaw`."""
        self._answering.clear()
        if not answers_only:
            self._asking.clear()

    def thaw(self) -> None:
        self._asking.set()
        self._answering.set()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        self.cut()
        for pipe in self._pipes:
            for task in pipe.tasks:
                task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await settled()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in tuple(self._ports):
            try:
                far_reader, far_writer = await asyncio.open_connection(self._host, port)
                break
            except OSError:
                if self._ports[0] == port:
                    self._ports.rotate(-1)
        else:
            writer.transport.abort()
            return
        pipe = _Pipe((writer, far_writer))
        self._pipes.add(pipe)
        pipe.tasks = [
            asyncio.create_task(self._forward(pipe, reader, far_writer, self._asking)),
            asyncio.create_task(self._forward(pipe, far_reader, writer, self._answering)),
        ]
        await asyncio.wait(pipe.tasks, return_when=asyncio.FIRST_COMPLETED)
        pipe.abort()
        await asyncio.wait(pipe.tasks)
        self._pipes.discard(pipe)

    async def _forward(
        self, pipe: _Pipe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        try:
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await flowing.wait()
                if pipe.silent:
                    await pipe.aborted.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return


class _Pipe:
    """One forwarded connection."""

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.silent = False
        self.aborted = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self._writers = writers

    def abort(self) -> None:
        self.aborted.set()
        for writer in self._writers:
            writer.transport.abort()
