"""The long-polling transport of one connection."""

from __future__ import annotations

import asyncio
from typing import Any

from app.socketio_server.writing import Receive

__all__ = ["PollingTransport"]


class PollingTransport:
    """The poll that waits for something to send, if there is one; ``posting``: whether a POST is being read."""

    __slots__ = ("_poll", "posting")

    def __init__(self) -> None:
        self._poll: asyncio.Future[None] | None = None
        self.posting = False

    @property
    def waiting(self) -> bool:
        """Whether a poll is waiting."""
        return self._poll is not None

    async def wait(self, receive: Receive) -> bool:
        """Wait for ``wake``; return False when the client gave the poll up."""
        loop = asyncio.get_running_loop()
        self._poll = loop.create_future()
        watcher = loop.create_task(_disconnected(receive))
        watcher.add_done_callback(self.wake)
        try:
            await self._poll
        finally:
            self._poll = None
            gone = watcher.done()
            watcher.cancel()
        return not gone

    def wake(self, _task: Any = None) -> None:
        """End the poll that waits, if there is one."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)


async def _disconnected(receive: Receive) -> None:
    """Wait until the HTTP client is gone; whatever else it sends is of no interest."""
    while (await receive())["type"] != "http.disconnect":
        pass
