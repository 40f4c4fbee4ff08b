"""What a command to Redis costs this process: our queue on redis-py's connection, against redis-py's own ways.

    python bench/redis_client.py [rounds]

Each round runs the same GETs through every client in turn, 200 at a time or one after the other; printed is the median
of the rounds' ratios against redis-py with a pool. CPU time of this process, so that a busy machine matters little.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import redis.asyncio as redis_py

from app.redis_client.client import RedisClient
from app.redis_client.embedded import EmbeddedServer

CONCURRENT = 200
TURNS = 50

Run = Callable[[], Awaitable[object]]


async def main(rounds: int) -> None:
    async with EmbeddedServer() as server:
        pool = redis_py.BlockingConnectionPool.from_url(server.url, max_connections=64, timeout=5)
        client = redis_py.Redis.from_pool(pool)
        ours = RedisClient.connect(server.url)
        await client.set("key", "x" * 100)

        async def pipelined() -> None:
            pipeline = client.pipeline(transaction=False)
            for _ in range(CONCURRENT):
                pipeline.get("key")
            await pipeline.execute()

        def pooled() -> Awaitable[object]:
            return client.get("key")

        def queued() -> Awaitable[object]:
            return ours.execute("GET", "key")

        runs: dict[str, Run] = {
            "redis-py, pool": at_once(pooled),
            "redis-py, explicit pipeline": pipelined,
            "our queue on redis-py's connection": at_once(queued),
            "redis-py, pool, one by one": one_by_one(pooled),
            "our queue, one by one": one_by_one(queued),
        }
        costs: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                costs[name].append(await cpu_per_command(run))
        report(costs)
        await asyncio.gather(client.aclose(), ours.close())


def at_once(get: Run) -> Run:
    async def run() -> None:
        await asyncio.gather(*(get() for _ in range(CONCURRENT)))

    return run


def one_by_one(get: Run) -> Run:
    async def run() -> None:
        for _ in range(CONCURRENT):
            await get()

    return run


async def cpu_per_command(run: Run) -> float:
    await run()
    began = time.process_time()
    for _ in range(TURNS):
        await run()
    return (time.process_time() - began) / (TURNS * CONCURRENT)


def report(costs: dict[str, list[float]]) -> None:
    base = costs["redis-py, pool"]
    for name, measured in costs.items():
        ratio = statistics.median(theirs / mine for theirs, mine in zip(base, measured, strict=True))
        print(f"{name:36} {statistics.median(measured) * 1e6:7.1f} us a command   {ratio:5.1f} x")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
