"""The long-polling transport of one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from app.socketio_server.interfaces import Receive

__all__ = ["PollingTransport"]


class PollingTransport:
    """The waiting poll of a connection and the POST that is being read, if there are any."""

    __slots__ = ("_poll", "_reader")

    def __init__(self) -> None:
        self._poll: asyncio.Future[None] | None = None
        self._reader: asyncio.Task[Any] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a poll is waiting."""
        return self._poll is not None

    @property
    def posting(self) -> bool:
        """Whether a POST is being read."""
        return self._reader is not None

    @contextlib.contextmanager
    def post(self) -> Iterator[None]:
        """Mark a POST as being read by the current task, which ``end`` cancels."""
        self._reader = asyncio.current_task()
        try:
            yield
        finally:
            self._reader = None

    def end(self) -> None:
        """End the poll and the POST."""
        self.wake()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()

    async def wait(self, receive: Receive) -> bool:
        """Wait for ``wake``; return False if the client disconnected from the poll."""
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
        """End the waiting poll, if there is one."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)


async def _disconnected(receive: Receive) -> None:
    """Wait until the HTTP client has disconnected; ignore other data."""
    while (await receive())["type"] != "http.disconnect":
        pass
