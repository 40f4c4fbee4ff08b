"""A real exporter of the metrics of a Redis, as the chart runs it beside Redis."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from app.redis_client.embedded import die_with_parent
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.programs import program
from tests.harness.waiting import until

__all__ = ["exporter"]


@asynccontextmanager
async def exporter(redis_url: str, options: Sequence[str] = ()) -> AsyncIterator[str]:
    """Run an exporter of a Redis; yield the `host:port` of its metrics."""
    address = f"{LOOPBACK}:{free_port()}"
    command = [
        program("prometheus-redis-exporter"),
        f"-redis.addr={redis_url}",
        f"-web.listen-address={address}",
        "-config-command=-",
        *options,
    ]
    process = _launch(command)

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://{address}/health")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await until(answers, "the exporter answers")
        yield address
    finally:
        process.kill()
        process.wait()


def _launch(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(die_with_parent(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
