"""A member that stops reading: nobody else notices, nothing piles up for it, and it ends at the head as all do."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness.node import Client, NodeClients, node_clients
from tests.harness.people import Api, Made
from tests.harness.service import Replica
from tests.harness.sockets import Socket, open_sockets

pytestmark = pytest.mark.asyncio(loop_scope="session")

_MEMBERS: Final = 100
_PAUSE: Final = 0.05
_MOVIES: Final = 60
_MEGABYTE: Final = 1 << 20

_numbers = itertools.count(1)


class Sluggard(Protocol):
    """A member that can stop reading."""

    async def join(self, code: str) -> None: ...

    def stop_reading(self) -> None: ...

    async def read_up_to(self, version: int) -> int:
        """Reads again until it is at the version; how many updates it has got."""


class RawSluggard:
    """A WebSocket whose receive buffer is as small as the kernel allows."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, replica: Replica) -> AsyncIterator[Sluggard]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", replica.port))
        sock.setblocking(False)
        url = f"ws://127.0.0.1:{replica.port}/socket.io/?EIO=4&transport=websocket"
        async with connect(url, sock=sock, compression=None, ping_interval=None, max_size=None, max_queue=1) as opened:
            yield cls(opened)

    async def join(self, code: str) -> None:
        await self._connection.recv()
        await self._connection.send("40")
        await self._connection.recv()
        await self._connection.send(f'42["join-session","{code}"]')
        while not str(await self._connection.recv()).startswith('42["session-update"'):
            pass

    def stop_reading(self) -> None:
        """Nothing to do: it reads only when it is asked to."""

    async def read_up_to(self, version: int) -> int:
        for count in itertools.count(1):
            packet = str(await self._connection.recv())
            if packet.startswith('42["session-update"') and json.loads(packet[2:])[2]["version"] >= version:
                return count
        raise AssertionError("not reached")


class NodeSluggard:
    """A stock client in a process that is stopped."""

    def __init__(self, node: NodeClients, client: Client) -> None:
        self._node = node
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, replica: Replica) -> AsyncIterator[Sluggard]:
        async with node_clients() as node:
            # Compressed updates would all find room in the buffers between.
            options: dict[str, Any] = {"transports": ["websocket"], "perMessageDeflate": False}
            yield cls(node, await node.connect(replica.url, digest=True, **options))

    async def join(self, code: str) -> None:
        # So would patches.
        await self._client.emit("join-session", code, {"patches": False}, ack=True)
        await self._client.next("session-update")

    def stop_reading(self) -> None:
        self._node.pause()

    async def read_up_to(self, version: int) -> int:
        before = len(self._client.named("session-update"))
        self._node.resume()
        await self._client.until(
            lambda event: event.name == "session-update" and event.args[1]["version"] >= version, timeout=20
        )
        return len(self._client.named("session-update")) - before


async def changes(made: Made, sockets: list[Socket], rounds: int) -> tuple[float, int]:
    """The median of seconds from a change until everybody else has seen it, and the last version."""
    latencies: list[float] = []
    version = 0
    for _ in range(rounds):
        number = next(_numbers)
        started = time.monotonic()
        ack = await sockets[0].emit("vote", {"movieID": f"m{number % _MOVIES}", "rating": 1 + number % 5})
        version = ack["version"]
        await asyncio.gather(*(other.at_version(version) for other in sockets))
        latencies.append(time.monotonic() - started)
        await asyncio.sleep(_PAUSE)
    return statistics.median(latencies), version


@pytest.mark.parametrize(
    ("sluggard", "rounds"), [(RawSluggard, 25), pytest.param(NodeSluggard, 50, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(120)
async def test_one_of_a_hundred_members_stops_reading(
    service: list[Replica], api: Api, sluggard: Any, rounds: int
) -> None:
    movies = [{"id": f"m{number}", "title": "T", "overview": "o" * 500} for number in range(_MOVIES)]
    made = await api.create(movies=movies, capacity=_MEMBERS)
    replica = service[0]
    memory = psutil.Process(replica.pid).memory_info
    async with sluggard.open(replica) as lazy, open_sockets([replica.url], _MEMBERS - 1) as sockets:
        await asyncio.gather(*(member.emit("join-session", made.code) for member in sockets))
        await lazy.join(made.code)
        usual, version = await changes(made, sockets, rounds // 3)
        before = memory().rss
        lazy.stop_reading()
        now, version = await changes(made, sockets, rounds)
        assert now < 2 * usual + 0.05
        assert memory().rss < before + 4 * _MEGABYTE
        got = await lazy.read_up_to(version)
        assert got < rounds / 2
        # It keeps up again.
        _, version = await changes(made, sockets, 1)
        await lazy.read_up_to(version)
