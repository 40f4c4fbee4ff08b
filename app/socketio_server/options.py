"""Options of a server."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of all connections. Times are in seconds, sizes in bytes; None disables a limit.

    connect_timeout: a connection that joins no namespace within this time is closed
    max_payload: the largest message, and the largest polling payload, accepted from a client
    write_timeout: the time for one write to a peer that does not read
    max_backlog: the memory of messages queued for a socket, above which it is closed. A message that is queued for
        many sockets counts for each of them, since each may be the last to hold it
    max_queued: the number of received messages that may wait to be handled before reading pauses
    events_per_second, burst: above this rate a client is read more slowly; nothing is dropped
    binary: whether clients may send attachments
    compression: whether permessage-deflate is accepted and long-polling responses are compressed
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
    compression: bool = True
