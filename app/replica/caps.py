"""How many connections a replica takes: as many as its memory is enough for, unless the settings say it."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass
from typing import Final

from app.settings import Settings

__all__ = ["CONNECTION_BYTES", "MAX_CONNECTIONS", "MEMORY_SHARE", "Caps", "find_caps", "memory_for"]

# The part of the memory limit that may be in use. The rest is for files, which the process runs slowly without, and for
# what is allocated and freed within a moment.
MEMORY_SHARE: Final = 0.9
# What a replica takes without connections, and what with each: a WebSocket in a session of a few people with a dozen
# movies, measured by ``python -m bench.connections``.
_BASE_BYTES: Final = 64 * 2**20
CONNECTION_BYTES: Final = 28 * 2**10

MAX_CONNECTIONS: Final = 20_000
_MIN_CONNECTIONS: Final = 100
# Clients have further TCP connections, for requests; and behind a proxy some stay open between requests.
_MIN_TCP_CONNECTIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Caps:
    """``connections``: sockets of the replica. ``tcp_connections``: at each of its ports."""

    connections: int
    tcp_connections: int


def find_caps(settings: Settings, memory_limit: int | None) -> Caps:
    """Return the caps. A quarter of the process's file descriptors stays free for other uses."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = MAX_CONNECTIONS * 2 if limit == resource.RLIM_INFINITY else limit * 3 // 4
    connections = settings.max_connections or min(_in_memory(memory_limit), descriptors)
    tcp_connections = settings.max_tcp_connections or max(_MIN_TCP_CONNECTIONS, connections * 3 // 2)
    return Caps(connections, tcp_connections if limit == resource.RLIM_INFINITY else min(tcp_connections, descriptors))


def memory_for(connections: int) -> int:
    """Return the memory limit, in bytes, with which a replica takes so many connections."""
    return math.ceil((_BASE_BYTES + connections * CONNECTION_BYTES) / MEMORY_SHARE)


def _in_memory(limit: int | None) -> int:
    if limit is None:
        return MAX_CONNECTIONS
    fitting = (int(limit * MEMORY_SHARE) - _BASE_BYTES) // CONNECTION_BYTES
    return min(max(fitting, _MIN_CONNECTIONS), MAX_CONNECTIONS)
