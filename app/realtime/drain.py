"""Sends the clients of a stopping replica to the others."""

from __future__ import annotations

import asyncio
from typing import Final

from app.realtime.engine import SocketServer

__all__ = ["drain"]

_CLIENTS_PER_SECOND: Final = 50
_CLOSE_CODE: Final = 1012


async def drain(server: SocketServer, timeout: float) -> None:
    """Refuses new connections and closes the others one by one, spread over ``timeout`` seconds at the most.

    Clients come back at once, to another replica; spread out they do not all come in the same instant.
    """
    server.stop_accepting(503, [(b"retry-after", b"1")])
    connections = server.connections()
    pause = min(timeout / max(1, len(connections)), 1 / _CLIENTS_PER_SECOND)
    for connection in connections:
        connection.close("drained", code=_CLOSE_CODE)
        await asyncio.sleep(pause)
