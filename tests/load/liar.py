"""A service that lies: a proxy in front of a real one, which forwards everything but what it is told to spoil."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.harness.ports import LOOPBACK, free_port, stop_listening

__all__ = ["Honest", "Patching", "liar", "spoilt"]

_UPDATE = '42["session-update",'


class Honest:
    """Forwards one WebSocket as it is; lies are told by overriding. `number` counts the connections from 0."""

    def __init__(self, number: int) -> None:
        self.number = number

    def told(self, packet: str) -> list[str]:
        """What the client gets for a packet of the service."""
        return self.updated(packet) if packet.startswith(_UPDATE) else [packet]

    def updated(self, packet: str) -> list[str]:
        """What it gets for a `session-update`."""
        return [packet]

    def asked(self, packet: str) -> str | None:
        """The answer to a packet of the client, which is then not forwarded; None forwards it."""
        return None


class Patching(Honest):
    """Sends each update after the first as a patch, which replaces both lists."""

    head: dict[str, Any] | None = None

    def updated(self, packet: str) -> list[str]:
        _, data, meta, offset = json.loads(packet[2:])
        before, self.head = self.head, meta
        if before is None or before["epoch"] != meta["epoch"]:
            return [packet]
        operations = [
            {"op": "replace", "path": f"/{name}", "value": self.patched(name, data[name])}
            for name in ("movies", "participants")
        ]
        patch = ["session-patch", operations, {**meta, "from": self.start(before["version"])}, offset]
        return ["42" + json.dumps(patch, ensure_ascii=False, separators=(",", ":"))]

    def patched(self, name: str, value: Any) -> Any:
        """What a list becomes."""
        return value

    def start(self, version: int) -> int:
        """The version from which a patch starts."""
        return version

    def asked(self, packet: str) -> str | None:
        """Joining again is answered with a whole update."""
        if '"join-session"' in packet:
            self.head = None
        return super().asked(packet)


def spoilt(packet: str, spoil: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
    """A `session-update` after `spoil(sessionData, meta)`."""
    event = json.loads(packet[2:])
    spoil(event[1], event[2])
    return "42" + json.dumps(event, ensure_ascii=False, separators=(",", ":"))


@asynccontextmanager
async def liar(port: int, kind: Callable[[int], Honest]) -> AsyncIterator[str]:
    """The URL of a proxy of the service at `port` of loopback, with a `kind` for each WebSocket."""
    numbers = iter(range(1_000_000))

    async def lie(client: ServerConnection) -> None:
        assert client.request is not None
        address = f"ws://{LOOPBACK}:{port}{client.request.path}"
        async with connect(address, compression=None, ping_interval=None, proxy=None) as service:
            await _until_closed(client, service, kind(next(numbers)))

    async with AsyncExitStack() as stack:
        sockets = await stack.enter_async_context(serve(lie, LOOPBACK, 0, compression=None, ping_interval=None))
        spoiling = next(iter(sockets.sockets)).getsockname()[1]
        tasks: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_forward(reader, writer, port, spoiling))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        entrance = free_port()
        server = await asyncio.start_server(accepted, LOOPBACK, entrance)
        try:
            yield f"http://{LOOPBACK}:{entrance}"
        finally:
            await stop_listening(server)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _until_closed(client: ServerConnection, service: ClientConnection, honest: Honest) -> None:
    async def asking() -> None:
        async for packet in client:
            answer = honest.asked(str(packet))
            # The service tells the truth in whole updates, which are easier to spoil.
            whole = re.sub(r'"patches": ?true', '"patches":false', str(packet))
            await (service.send(whole) if answer is None else client.send(answer))
        await service.close()

    async def telling() -> None:
        async for packet in service:
            for told in honest.told(str(packet)):
                await client.send(told)
        await client.close()

    with contextlib.suppress(ConnectionClosed):
        await asyncio.gather(asking(), telling())


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, spoiling: int) -> None:
    """The start line decides: Socket.IO goes where it is spoilt, the HTTP API to the service."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        line = await reader.readuntil(b"\r\n")
        target = spoiling if b" /socket.io/" in line else port
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, target)
        far_writer.write(line)
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.transport.abort()
    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
