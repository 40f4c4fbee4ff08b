"""Connections to other replicas."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.forwarding.http_pool import ConnectionPool
from tests.harness.here import served_here
from tests.harness.redis import RedisServer

# The kernel's number for a connection that the other side has closed and this one has not.
_CLOSE_WAIT = "08"


async def test_an_idle_connection_to_a_replica_that_is_gone_is_closed() -> None:
    pool = ConnectionPool()
    async with RedisServer() as redis:
        async with served_here(redis.url()) as (replica,):
            address = f"127.0.0.1:{replica.internal_port}"
            # HTTP/1.1 wants a host, also of a client that spoke HTTP/1.0 and named none.
            async with pool.exchange(address, "GET", b"/healthz", [], has_body=False) as exchange:
                assert (await exchange.response()).status == 200
            assert _states(replica.internal_port) == {"01"}
        async with asyncio.timeout(3):
            while _CLOSE_WAIT in _states(replica.internal_port):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert pool.idle_count == 0
    pool.close()


def _states(port: int) -> set[str]:
    """The states of this host's connections to a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[3] for row in rows if row[2].endswith(f":{port:04X}") and row[3] != "06"}
