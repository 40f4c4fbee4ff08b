"""The two queues of a session: what it has still to send, and what it has still to handle."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from app.socketio_server.frames import Encoded

__all__ = ["Inbox", "Outbox", "TokenBucket"]


class Outbox:
    """Messages that a socket cannot take yet, in order; of all with the same ``latest`` key only the newest.

    ``size`` is the memory that they hold.
    """

    __slots__ = ("_count", "_messages", "size")

    def __init__(self) -> None:
        self._messages: OrderedDict[Hashable, Encoded] = OrderedDict()
        self._count = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Encoded, latest: Hashable | None = None) -> bool:
        """Append ``message``; return whether it took the place of an older one with the same key.

        The newer one goes to the end, so that it never overtakes what was sent before it.
        """
        self._count += 1
        key: Hashable = self._count if latest is None else ("latest", latest)
        older = self._messages.pop(key, None)
        if older is not None:
            self.size -= older.size
        self._messages[key] = message
        self.size += message.size
        return older is not None

    def pop(self) -> Encoded:
        """Remove and return the oldest message."""
        _, message = self._messages.popitem(last=False)
        self.size -= message.size
        return message

    def take(self) -> list[Encoded]:
        """Remove and return all messages."""
        messages = list(self._messages.values())
        self._messages.clear()
        self.size = 0
        return messages


class Inbox:
    """Hands items to ``handle`` strictly one after another, in the order put.

    ``handle`` must not raise. It is full with ``max_items`` items, or when they hold ``max_bytes`` bytes of memory.
    There is a task only while there is something to do.
    """

    __slots__ = ("_handle", "_items", "_max_bytes", "_max_items", "_room", "_worker", "size")

    def __init__(self, handle: Callable[[Any], Awaitable[None]], *, max_items: int, max_bytes: int) -> None:
        self._handle = handle
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: deque[tuple[Any, int]] = deque()
        self._room: asyncio.Event | None = None
        self._worker: asyncio.Task[None] | None = None
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether a reader should wait before it puts more."""
        return len(self._items) >= self._max_items or self.size >= self._max_bytes

    @property
    def worker(self) -> asyncio.Task[None] | None:
        """The task that is handling items now."""
        return self._worker

    async def room(self) -> None:
        """Wait until the inbox is no longer full."""
        while self.full:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()

    def put(self, item: Any, size: int = 0) -> None:
        """Append an item; it is handled even where the inbox is full."""
        self._items.append((item, size))
        self.size += size
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._items:
                item, size = self._items.popleft()
                self.size -= size
                if self._room is not None and not self.full:
                    self._room.set()
                await self._handle(item)
        finally:
            self._worker = None


class TokenBucket:
    """A token bucket: ``rate`` a second, ``burst`` at once. Over it nothing is refused, only delayed."""

    __slots__ = ("_empty_at", "_interval", "_tolerance")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._tolerance = burst / rate
        self._empty_at = 0.0

    def delay(self, now: float) -> float:
        """Take one token at time ``now`` (seconds); return the seconds until it is due, 0 within the burst."""
        self._empty_at = max(self._empty_at, now) + self._interval
        return max(0.0, self._empty_at - now - self._tolerance)
