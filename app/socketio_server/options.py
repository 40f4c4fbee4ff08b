"""What a server's sessions have in common."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every connection of a server has in common. Times in seconds, sizes in bytes; None switches a limit off.

    connect_timeout: a connection that is in no namespace for so long is closed
    max_payload: largest message, and largest polling payload, taken from a client
    write_timeout: how long one write to a peer that does not read may take
    max_backlog: how much memory may be held by what waits for a socket before it is closed; a message that waits for
        many is counted for each of them, for each may be the last to hold it
    max_queued: how many received messages may wait for their turn before reading stops
    events_per_second, burst: over this rate a client is read more slowly; nothing is dropped
    binary: whether clients may send attachments
    """

    ping_interval: float = 25
    ping_timeout: float = 20
    connect_timeout: float = 45
    max_payload: int = 1_000_000
    upgrade_timeout: float = 10
    write_timeout: float = 20
    max_backlog: int = 1 << 20
    max_queued: int = 100
    events_per_second: float | None = None
    burst: int = 2000
    binary: bool = False
