"""Thousands of raw clients that connect anew whenever they are refused or lost: `bench/load/crowd.c`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.prerequisites import CROWD, prepare_load
from tests.harness.ports import LOOPBACK

__all__ = ["Reconnecting", "Second", "assert_served", "reconnecting"]


@dataclass(frozen=True)
class Second:
    """What happened in a second; `joined` is the number at its end. `late`: acks after more than a second."""

    seconds: float
    wanted: int
    joined: int
    refused: int
    lost: int
    acks: int
    late: int
    failed_votes: int
    p99_ms: float
    updates: int
    bytes: int
    complete_at: float


class Reconnecting:
    """The clients; `seconds` has all that they have told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.seconds: list[Second] = []
        self._process = process

    async def next(self) -> Second:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 20)
        self.seconds.append(Second(**json.loads(line)))
        return self.seconds[-1]

    async def until(self, condition: Callable[[Second], bool], timeout: float) -> Second:
        """The first second for which the condition holds; the time-out is in seconds."""
        last = self.seconds[-1].seconds if self.seconds else 0.0
        while True:
            second = await self.next()
            if condition(second):
                return second
            assert second.seconds - last < timeout, self.seconds[-10:]

    async def during(self, seconds: float) -> list[Second]:
        """What they tell for a while."""
        count = len(self.seconds)
        while len(self.seconds) - count < seconds:
            await self.next()
        return self.seconds[count:]

    async def want(self, clients: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{clients}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def reconnecting(
    codes: Path,
    clients: int,
    *,
    movies: int,
    votes_per_second: float,
    ports: Sequence[int],
    host: str = LOOPBACK,
    backoff: bool = False,
) -> AsyncIterator[Reconnecting]:
    """Run clients in the sessions whose codes are in a file, each with movies m0, m1 and so on.

    They come again after a second or so; with `backoff` up to five seconds later, as socket.io-client does.
    """
    await asyncio.to_thread(prepare_load)
    options = [*(["--backoff"] if backoff else []), *([] if host == LOOPBACK else [f"--host={host}"])]
    process = await asyncio.create_subprocess_exec(
        *(str(CROWD), *options, str(codes), str(clients), str(movies), str(votes_per_second), *map(str, ports)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Reconnecting(process)
    finally:
        process.kill()
        await process.wait()


def assert_served(seconds: Sequence[Second]) -> None:
    """Ninety-nine of a hundred changes were acknowledged within a second, and none was refused."""
    acks = sum(second.acks for second in seconds)
    assert acks > 50 * len(seconds)
    assert sum(second.failed_votes for second in seconds) == 0
    assert sum(second.late for second in seconds) < acks / 100, seconds
