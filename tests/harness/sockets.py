"""Cheap Socket.IO clients, WebSocket only, for tests that need hundreds of them in their own process."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, Self

import jsonpatch
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.harness.conformance import check_ack, check_event
from tests.harness.patches import arguments

__all__ = ["Socket", "open_sockets"]

_AT_ONCE: Final = 50
_TIMEOUT: Final = 20.0
_UPDATE: Final = '42["session-update",'
_PATCH: Final = '42["session-patch",'
# Updates that were validated, identified by the end of their text, which has the offset, and its length: all members of
# a session receive the same ones.
_checked: Final[set[tuple[str, int]]] = set()


class Socket:
    """A connected client. `counts` has the number of events by name; of session updates the newest is kept.

    `update` and `meta` are of the newest state, patched or whole. Patches are applied by an implementation of RFC 6902
    that is not ours; `patches` has the texts of those received.

    Updates are parsed on demand: a thousand sockets receive more large states than one process can parse.
    """

    def __init__(self, connection: ClientConnection, url: str, pid: str) -> None:
        self.url = url
        self.pid = pid
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.patches: list[str] = []
        self.on_update: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
        self._newest = _UPDATE + '{},{},""]'
        self._connection = connection
        self._events: defaultdict[str, deque[Any]] = defaultdict(deque)
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, auth: dict[str, Any] | None = None) -> Self:
        """Connect by WebSocket at once, as `io(url, {transports: ["websocket"], auth})` does."""
        address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        connection = await connect(
            address, compression=None, ping_interval=None, max_size=None, proxy=None, open_timeout=_TIMEOUT
        )
        try:
            await connection.recv()
            await connection.send("40" + (json.dumps(auth) if auth else ""))
            connected = str(await connection.recv())
            assert connected.startswith("40"), connected
        except BaseException:
            await connection.close()
            raise
        return cls(connection, url, json.loads(connected[2:])["pid"])

    @property
    def update(self) -> dict[str, Any]:
        """The last received `sessionData`."""
        data: dict[str, Any] = json.loads(self._newest[2:])[1]
        return data

    @property
    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads(self._newest[2:])[2]
        return meta

    @property
    def offset(self) -> str:
        return self._newest.rsplit('"', 2)[1]

    async def emit(self, event: str, *args: Any, timeout: float = _TIMEOUT) -> dict[str, Any]:
        """Emit an event; return its ack. Raises ConnectionError if the connection ends before the ack."""
        number = next(self._numbers)
        answer = self._acks[number] = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send(f"42{number}{json.dumps([event, *arguments(event, args)])}")
            # `wait_for` may lose a cancellation (https://github.com/python/cpython/issues/86296).
            async with asyncio.timeout(timeout):
                ack: dict[str, Any] = await answer
        except ConnectionClosed as error:
            raise ConnectionError("closed before the ack") from error
        check_ack(event, ack)
        return ack

    async def next(self, event: str, timeout: float = _TIMEOUT) -> Any:
        """Return the first argument of the next event of this name (not for `session-update`)."""
        async with asyncio.timeout(timeout):
            while not self._events[event]:
                await self._more()
        return self._events[event].popleft()

    async def at_version(self, version: int, timeout: float = _TIMEOUT) -> dict[str, Any]:
        """Wait for this version or a later one; return its `sessionData`."""
        async with asyncio.timeout(timeout):
            while int(self.offset.rpartition("-")[2] or 0) < version:
                await self._more()
        return self.update

    async def closed(self, timeout: float = _TIMEOUT) -> None:
        """Wait for the end of the connection."""
        await asyncio.wait_for(self._connection.wait_closed(), timeout)

    async def read_by_server(self) -> None:
        """Wait until the server has read all that was sent so far."""
        await (await self._connection.ping())

    def stop_reading(self) -> None:
        """Stop reading from the network, like a client that hangs."""
        self._connection.transport.pause_reading()

    def read_again(self) -> None:
        self._connection.transport.resume_reading()

    async def drop(self) -> None:
        """Lose the connection without a close frame."""
        self._connection.transport.abort()
        await self.close()

    async def close(self) -> None:
        await self._connection.close()
        await self._reader

    async def _more(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read(self) -> None:
        try:
            async for packet in self._connection:
                await self._take(str(packet))
        except ConnectionClosed:
            pass
        for answer in self._acks.values():
            if not answer.done():
                answer.set_exception(ConnectionError("closed before the ack"))
        # Retrieved in case nothing awaits an ack any more.
        await asyncio.gather(*self._acks.values(), return_exceptions=True)

    async def _take(self, packet: str) -> None:
        if packet == "2":
            await self._connection.send("3")
        elif packet.startswith("43"):
            number, _, args = packet[2:].partition("[")
            answer = self._acks.pop(int(number))
            if not answer.done():
                answer.set_result(json.loads("[" + args)[0])
        elif packet.startswith(_UPDATE):
            self.counts["session-update"] += 1
            self._newest = packet
            if (packet[-64:], len(packet)) not in _checked:
                _checked.add((packet[-64:], len(packet)))
                check_event("session-update", json.loads(packet[2:])[1:])
            self._updated()
        elif packet.startswith(_PATCH):
            self.patches.append(packet)
            self.counts["session-patch"] += 1
            self._newest = _patched(self._newest, packet)
            self._updated()
        elif packet.startswith("42"):
            event, *args = json.loads(packet[2:])
            self.counts[event] += 1
            check_event(event, args)
            self._events[event].append(args[0])
            self._changed.set()

    def _updated(self) -> None:
        if self.on_update is not None:
            self.on_update(self.update, self.meta)
        self._changed.set()


@lru_cache(maxsize=64)
def _patched(update: str, patch: str) -> str:
    """Return the update that a patch makes of one. Most members hold the same, so that is done once for all of them."""
    event, *args = json.loads(patch[2:])
    check_event(event, args)
    operations, changed, offset = args
    _, data, meta, _ = json.loads(update[2:])
    start = changed.pop("from")
    assert (changed["epoch"], start) == (meta["epoch"], meta["version"]), "a patch starts at another state"
    data = jsonpatch.apply_patch(data, operations)
    return f'{_UPDATE}{json.dumps(data)},{json.dumps(meta | changed)},"{offset}"]'


@asynccontextmanager
async def open_sockets(urls: Sequence[str], count: int) -> AsyncIterator[list[Socket]]:
    """Connect `count` sockets, to the `urls` in turn."""
    turns = asyncio.Semaphore(_AT_ONCE)
    opened: list[Socket] = []

    async def open_one(url: str) -> Socket:
        async with turns:
            socket = await Socket.open(url)
        opened.append(socket)
        return socket

    try:
        async with asyncio.TaskGroup() as group:
            opening = [group.create_task(open_one(url)) for url in itertools.islice(itertools.cycle(urls), count)]
        yield [task.result() for task in opening]
    finally:
        await _close_all(opened)


async def _close_all(sockets: Iterable[Socket]) -> None:
    await asyncio.gather(*(socket.close() for socket in sockets))
