"""Loopback ports to listen on, and the end of listening."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from pathlib import Path
from typing import Final

__all__ = ["LOOPBACK", "free_port", "settled", "stop_listening"]

LOOPBACK: Final = "127.0.0.1"

# As pytest-xdist says it.
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_given: Final[set[int]] = set()


def free_port() -> int:
    """A port that nobody has, and that no outgoing connection takes before it is used, or used again after a restart.

    The kernel gives connections ports of its local range, so it is taken from below that. Of processes that run tests
    side by side each takes every so-manieth.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000 + _WORKER, lowest, _WORKERS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server such that connections that are just being accepted reach its handler.

    asyncio drops them, unclosed: https://github.com/python/cpython/issues/109564.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    await settled()
    server.close()


async def settled() -> None:
    """Wait until what the loop has begun is done: accepting and closing take it several turns, and tell nobody."""
    for _ in range(10):
        await asyncio.sleep(0)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
