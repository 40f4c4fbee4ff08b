"""A connection to one server: commands are sent in order and replies arrive in the same order.

Any number of callers share a link. Commands of one turn of the event loop are sent in one write, which costs a fraction
of a pooled connection for each command. A caller that gives up affects neither other callers nor the order of replies.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import hiredis
from redis.asyncio.connection import AbstractConnection

from app.redis_client.connection import abort, connect, is_closing, receive, write
from app.redis_client.errors import StoreError, StoreUnavailable
from app.redis_client.reply import Reply
from app.redis_client.url import Address, Login

__all__ = ["Argument", "Link", "Pushed", "open_link", "pack"]

Argument = str | bytes | int | float
Pushed = Callable[[list[Reply]], None]

# The type stub of hiredis declares a tuple of one element.
pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)


# The minimum interval between two checks of deadlines: many callers give up at nearly the same time.
_MIN_TIMER_SECONDS: Final = 0.005
# A timer that is later than this means that the process was suspended.
_MAX_DELAY_SECONDS: Final = 0.05


class _Call(NamedTuple):
    reply: asyncio.Future[Any]
    # Loop times: when the caller gives up, and when a missing reply closes the link.
    deadline: float
    overdue: float
    # The reply to a pub/sub command is a push that begins with these two; to any other command it is a plain reply.
    push: tuple[bytes, bytes] | None
    # Of a batch: the replies so far, and how many there will be.
    replies: list[Reply | StoreError] | None = None
    size: int = 1


class Link:
    """A connection and the queue of its commands; ``open_link`` creates one.

    ``on_push`` receives pushes. ``on_lost`` is called once, as soon as the link accepts no more commands. If a reply is
    overdue the link accepts no more commands, because the connection is probably half-open or the server stalled. It
    then stays open for ``linger`` seconds, so that later commands can still be answered in time. A caller may give up
    earlier.
    """

    def __init__(self, connection: AbstractConnection, *, linger: float, on_push: Pushed | None = None) -> None:
        self.usable = True
        self.closed = False
        self.on_lost: Callable[[], None] | None = None
        self._connection = connection
        self._on_push = on_push
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._unsent: list[tuple[bytes, _Call]] = []
        self._pending: deque[_Call] = deque()
        # One timer for all calls: one for each would take a fifth of the time of a command.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._postponed = False
        receive(connection, self._receive, self.abort)

    def send(
        self, packed: bytes, deadline: float, overdue: float = 0, *, push: tuple[bytes, bytes] | None = None
    ) -> asyncio.Future[Reply]:
        """Queue a packed command; the future has its reply or a StoreError by the loop time ``deadline``.

        The reply is overdue at the loop time ``overdue``, but not before the deadline.
        """
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._queue(packed, _Call(reply, deadline, max(deadline, overdue), push))
        return reply

    def send_batch(
        self, packed: bytes, count: int, deadline: float, overdue: float
    ) -> asyncio.Future[list[Reply | StoreError]]:
        """Queue ``count`` packed commands as one call, which costs a fraction of as many calls of ``send``.

        The future has their replies, with a StoreError for each that failed.
        """
        replies: asyncio.Future[list[Reply | StoreError]] = self._loop.create_future()
        self._queue(packed, _Call(replies, deadline, max(deadline, overdue), None, [], count))
        return replies

    def _queue(self, packed: bytes, call: _Call) -> None:
        if not self.usable:
            self._end(call, StoreUnavailable("lost", "the connection is closed", sent=False))
            return
        self._unsent.append((packed, call))
        if call.deadline < self._timer_at:
            self._set_timer(call.deadline)
        if len(self._unsent) == 1:
            self._loop.call_soon(self._flush)

    def retire(self) -> None:
        """Accept no more commands, and close after the linger time."""
        if self.usable:
            self._stop()
            self._loop.call_later(self._linger, self.abort)

    def abort(self, reason: str = "lost", detail: str = "the connection broke") -> None:
        """Close at once; commands without a reply fail with ``reason``."""
        if self.closed:
            return
        self.closed = True
        abort(self._connection)
        self._stop()
        while self._pending:
            self._end(self._pending.popleft(), StoreUnavailable(reason, detail, sent=True))
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        if is_closing(self._connection):
            self._stop()
            return
        # Callers that gave up before the write were told that nothing was sent.
        ready = [(packed, call) for packed, call in self._unsent if not call.reply.done()]
        self._unsent.clear()
        if ready:
            self._pending.extend(call for _, call in ready)
            write(self._connection, b"".join([packed for packed, _ in ready]))

    def _receive(self, reply: Reply | StoreError) -> None:
        if type(reply) is hiredis.PushNotification and not (
            self._pending and self._pending[0].push == tuple(reply[:2])
        ):
            if self._on_push is not None:
                self._on_push(reply)
            return
        if not self._pending:
            # A server without room for another client sends that error unasked.
            if isinstance(reply, StoreUnavailable):
                self.abort(reply.reason, reply.detail)
            else:
                self.abort("protocol", "a reply that nobody asked for")
            return
        call = self._pending[0]
        if call.replies is None:
            # An error reply to a pub/sub command is plain, too.
            self._end(self._pending.popleft(), reply)
            return
        call.replies.append(reply)
        if len(call.replies) == call.size:
            self._pending.popleft()
            if not call.reply.done():
                call.reply.set_result(call.replies)

    @staticmethod
    def _end(call: _Call, outcome: Reply | StoreError) -> None:
        if call.reply.done():
            return
        if call.replies is not None:
            # One for each command without a reply: an exception collects the tracebacks of all who raise it.
            missing = range(call.size - len(call.replies))
            call.reply.set_result(call.replies + [_copy(outcome) for _ in missing])
        elif isinstance(outcome, StoreError):
            call.reply.set_exception(outcome)
        else:
            call.reply.set_result(outcome)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._expire)
        self._timer_at = at

    def _expire(self) -> None:
        """Fail the calls whose deadline has passed, and retire the link if a reply is overdue."""
        now = self._loop.time()
        if not self._postponed and now - self._timer_at > _MAX_DELAY_SECONDS:
            # The process was suspended. Timers run before received data is read, so read that first.
            self._postponed = True
            self._set_timer(now + _MIN_TIMER_SECONDS)
            return
        self._postponed = False
        # An event loop may round the times of timers.
        now = max(now, self._timer_at)
        for _, call in self._unsent:
            if call.deadline <= now:
                self._end(call, StoreUnavailable("timeout", "no reply in time", sent=False))
        for call in self._pending:
            if call.deadline <= now:
                self._end(call, StoreUnavailable("timeout", "no reply in time", sent=True))
        if any(call.overdue <= now for call in self._pending):
            self.retire()
        calls = (*(call for _, call in self._unsent), *self._pending)
        times = (at for call in calls for at in (call.deadline, call.overdue) if at > now)
        self._timer, self._timer_at = None, math.inf
        if (earliest := min(times, default=math.inf)) < math.inf:
            self._set_timer(max(earliest, now + _MIN_TIMER_SECONDS))

    def _stop(self) -> None:
        if not self.usable:
            return
        self.usable = False
        for _, call in self._unsent:
            self._end(call, StoreUnavailable("lost", "the connection broke", sent=False))
        self._unsent.clear()
        if self.on_lost is not None:
            self.on_lost()


def _copy(error: Any) -> Any:
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(error.reason, error.detail, sent=error.sent)
    return error


async def open_link(
    address: Address,
    login: Login,
    *,
    timeout: float,
    linger: float = 0,
    on_push: Pushed | None = None,
) -> Link:
    """Connect and log in within ``timeout`` seconds.

    Raises StoreUnavailable, never with ``sent``.
    """
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(address, login)
    except TimeoutError as error:
        raise StoreUnavailable("timeout", f"{address} does not answer", sent=False) from error
    return Link(connection, linger=linger, on_push=on_push)
