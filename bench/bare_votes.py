"""What a vote costs without a service: the event loop, the kernel and the connections to Redis.

    python -m bench.bare_votes
    python -m bench.bare_votes updates

A server of bare callbacks has the connections of scenario H: 200 rooms of ten, one vote a second in each. For a vote it
runs a script that publishes, answers the voter, and writes a patch of one KB to each of the ten when the published
message arrives; or an update of 30 movies, which it has deflated once. It parses nothing, checks nothing and keeps
nothing. Printed are the microseconds that its process takes for each vote.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final, cast

import orjson
import uvloop

from app.compression import deflated
from app.redis_client.embedded import EmbeddedServer
from bench.machine import LOAD_CORE, SERVER_CORE, cpu_seconds
from bench.movies import draw_movies

ROOMS = 200
MEMBERS = 10
SECONDS = 15
VOTE = b"v" * 90
ACK = b"a" * 40
PATCH = b"p" * 1024
UPDATE = orjson.dumps(draw_movies(30))
MESSAGES: Final[dict[str, Callable[[], bytes]]] = {"patches": lambda: PATCH, "updates": lambda: deflated(UPDATE)}
CHANNEL = "votes"
SCRIPT = f"redis.call('PUBLISH', '{CHANNEL}', ARGV[1]) return 'ok'"


class Voter(asyncio.Protocol):
    """A member of the room that was filling up when it connected."""

    rooms: ClassVar[list[list[asyncio.Transport]]] = []
    unanswered: ClassVar[deque[asyncio.Transport]] = deque()

    def __init__(self, commands: asyncio.Transport) -> None:
        self._commands = commands

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        if not self.rooms or len(self.rooms[-1]) == MEMBERS:
            self.rooms.append([])
        self.rooms[-1].append(self._transport)
        self._script = command("EVAL", SCRIPT, "0", f"room {len(self.rooms) - 1:03}")

    def data_received(self, data: bytes) -> None:
        self.unanswered.append(self._transport)
        self._commands.write(self._script)


class Replies(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"$")):
            Voter.unanswered.popleft().write(ACK)


class Published(asyncio.Protocol):
    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make

    def data_received(self, data: bytes) -> None:
        _, *messages = data.split(b"room ")
        for message in messages:
            made = self._make()
            for member in Voter.rooms[int(message[:3])]:
                member.write(made)


async def serve(redis: str, what: str) -> None:
    loop = asyncio.get_running_loop()
    commands, _ = await loop.create_unix_connection(Replies, redis)
    subscription, _ = await loop.create_unix_connection(lambda: Published(MESSAGES[what]), redis)
    subscription.write(command("SUBSCRIBE", CHANNEL))
    server = await loop.create_server(lambda: Voter(commands), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Member(asyncio.Protocol):
    received = 0

    def data_received(self, data: bytes) -> None:
        Member.received += len(data)


async def main(what: str) -> None:
    async with EmbeddedServer() as redis:
        os.sched_setaffinity(0, {LOAD_CORE})
        path = redis.url.removeprefix("unix://")
        server = await asyncio.create_subprocess_exec(
            *("taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "bench.bare_votes", what, path),
            stdout=asyncio.subprocess.PIPE,
        )
        assert server.stdout is not None
        address = "127.0.0.1", int(await server.stdout.readline())
        loop = asyncio.get_running_loop()
        members = [(await loop.create_connection(Member, *address))[0] for _ in range(ROOMS * MEMBERS)]
        for transport in members:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        votes, cpu, began = 0, cpu_seconds(server.pid), time.monotonic()
        while (elapsed := time.monotonic() - began) < SECONDS:
            while votes < elapsed * ROOMS:
                members[votes * MEMBERS % len(members)].write(VOTE)
                votes += 1
            await asyncio.sleep(1 / ROOMS)
        taken = cpu_seconds(server.pid) - cpu
        expected = votes * (len(ACK) + MEMBERS * len(MESSAGES[what]()))
        print(
            f"{votes} votes, {taken * 1e6 / votes:.0f} µs each, {Member.received / expected:.0%} of the bytes arrived"
        )
        server.terminate()
        await server.wait()


def command(*words: str) -> bytes:
    parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{parts}".encode()


if __name__ == "__main__":
    what, *redis = sys.argv[1:] or ["patches"]
    uvloop.run(serve(redis[0], what) if redis else main(what))
