"""The two queues of a session: messages to send, and received items to handle."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from app.socketio_server.frames import Encoded, Outgoing, made
from app.socketio_server.options import Options

__all__ = ["Closed", "Inbox", "Outbox", "TokenBucket"]

# Bytes of a received packet that count as an event: those of a compressed one cost the client little.
_BYTES_PER_EVENT: Final = 16_384
# A queued message that is made when it can be written: what makes it, and its place in the queue.
_UNMADE_BYTES: Final = 400


class _Queued(NamedTuple):
    """A message and the memory that it took when it was queued, which grows when it is compressed for others."""

    message: Outgoing
    size: int


class Outbox:
    """Messages that wait until the socket accepts them, in order.

    Of messages with the same ``latest`` key only the newest is kept. ``size`` is the memory that they take. Those that
    are made when they can be written take little until then.
    """

    __slots__ = ("_count", "_messages", "size")

    def __init__(self) -> None:
        self._messages: dict[Hashable, _Queued] = {}
        self._count = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Outgoing, latest: Hashable | None = None) -> bool:
        """Append ``message``; return whether it replaced an older one with the same key.

        It is appended at the end in any case, so that it does not overtake messages sent before it.
        """
        self._count += 1
        key: Hashable = self._count if latest is None else ("latest", latest)
        older = self._messages.pop(key, None)
        if older is not None:
            self.size -= older.size
        queued = self._messages[key] = _Queued(message, message.size if isinstance(message, Encoded) else _UNMADE_BYTES)
        self.size += queued.size
        return older is not None

    def pop(self) -> Encoded | None:
        """Remove, make and return the oldest message; None if it is made to nothing."""
        oldest = self._messages.pop(next(iter(self._messages)))
        self.size -= oldest.size
        return made(oldest.message)

    def take(self) -> list[Encoded]:
        """Remove, make and return all messages."""
        outgoing = (made(queued.message) for queued in self._messages.values())
        messages = [message for message in outgoing if message is not None]
        self._messages.clear()
        self.size = 0
        return messages


class Closed:
    """The last item of a session's inbox."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Inbox:
    """Received items in order, and whether reading may continue.

    It is full with ``max_queued`` items, with ``max_payload`` bytes of memory, and while the client exceeds its rate;
    see ``Options``.
    """

    __slots__ = ("_bucket", "_delay", "_items", "_options", "_room", "size")

    def __init__(self, options: Options) -> None:
        self._options = options
        # Created when needed: most connections are idle, and an empty deque takes 600 bytes.
        self._items: deque[tuple[Any, int]] | None = None
        self._room: asyncio.Event | None = None
        self._bucket: TokenBucket | None = None
        self._delay = 0.0
        self.size = 0

    def __len__(self) -> int:
        return len(self._items) if self._items is not None else 0

    @property
    def full(self) -> bool:
        """Whether a reader should wait before it puts more."""
        return self._delay > 0 or self._has_no_room()

    def count(self, size: int) -> None:
        """Count a packet of ``size`` bytes against the client's rate."""
        options = self._options
        if options.events_per_second is None:
            return
        if self._bucket is None:
            self._bucket = TokenBucket(options.events_per_second, options.burst)
        self._delay = self._bucket.delay(asyncio.get_running_loop().time(), 1 + size // _BYTES_PER_EVENT)

    async def room(self) -> None:
        """Wait until the inbox is no longer full."""
        delay, self._delay = self._delay, 0.0
        if delay:
            await asyncio.sleep(delay)
        while self._has_no_room():
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()

    def put(self, item: Any, size: int = 0) -> None:
        """Append an item, which takes ``size`` bytes, even if the inbox is full."""
        if self._items is None:
            self._items = deque()
        self._items.append((item, size))
        self.size += size

    def take(self) -> Any:
        """Remove and return the oldest item. Raises IndexError if there is none."""
        if not self._items:
            raise IndexError("the inbox is empty")
        item, size = self._items.popleft()
        if not self._items:
            self._items = None
        self.size -= size
        if self._room is not None and not self._has_no_room():
            self._room.set()
        return item

    def _has_no_room(self) -> bool:
        return len(self) >= self._options.max_queued or self.size >= self._options.max_payload


class TokenBucket:
    """A token bucket of ``rate`` per second and ``burst``. Excess is delayed, not refused."""

    __slots__ = ("_empty_at", "_interval", "_tolerance")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._tolerance = burst / rate
        self._empty_at = 0.0

    def delay(self, now: float, tokens: int) -> float:
        """Take tokens at time ``now`` (seconds); return the seconds until they are available, 0 within the burst."""
        self._empty_at = max(self._empty_at, now) + tokens * self._interval
        return max(0.0, self._empty_at - now - self._tolerance)
