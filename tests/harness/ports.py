"""Free loopback ports, and closing of servers."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from pathlib import Path
from typing import Final

__all__ = ["LOOPBACK", "free_port", "settled", "stop_listening"]

LOOPBACK: Final = "127.0.0.1"

# The number of this process, set by pytest-xdist.
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_given: Final[set[int]] = set()


def free_port() -> int:
    """Return a port that is not in use, and that no outgoing connection takes before it is used or after a restart.

    It is below the kernel's range for outgoing connections. With n test processes, each uses every n-th port.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000 + _WORKER, lowest, _WORKERS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server such that connections that are being accepted reach its handler.

    asyncio drops them without closing them: https://github.com/python/cpython/issues/109564.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    await settled()
    server.close()


async def settled() -> None:
    """Wait some turns of the event loop, which accepting and closing of connections takes."""
    for _ in range(10):
        await asyncio.sleep(0)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
