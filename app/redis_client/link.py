"""One socket to one Redis: commands go out in order, replies come back in order.

Any number of commands share a link. Those of one turn of the event loop leave in one write, several times cheaper than
one pooled connection per command, and a caller that gives up disturbs neither the others nor the order of the replies.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import hiredis

from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable, error_of_reply
from app.redis_client.url import Address, Login

Argument = str | bytes | int | float
Pushed = Callable[[list[Any]], None]

# The stub of hiredis declares a tuple of one.
pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)

_NOTHING: Final = object()


class _Call(NamedTuple):
    reply: asyncio.Future[Any]
    timer: asyncio.TimerHandle
    # Pub/sub commands are answered by a push that begins with these two, all others by a plain reply.
    push: tuple[bytes, bytes] | None


class Link(asyncio.Protocol):
    """A socket speaking RESP3; `open_link` makes one.

    `on_push` gets what the server sends unasked; `on_lost` is called once, as soon as the link takes no more commands.
    When a reply is overdue the link is given up: half-open connections and stalled servers look just like that. A
    caller may give up sooner. The link then lingers for `linger` seconds, so that commands sent later keep the chance
    of being answered in time.
    """

    def __init__(self, *, batching: bool, linger: float, on_push: Pushed | None = None) -> None:
        self.usable = False
        self.on_lost: Callable[[], None] | None = None
        self._on_push = on_push
        self._batching = batching
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=error_of_reply, notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[tuple[bytes, _Call]] = []
        self._pending: deque[_Call] = deque()
        # Reason and detail for what is still under way when the socket closes.
        self._failure = ("lost", "the connection broke")

    @property
    def closed(self) -> bool:
        """Whether the socket is closed; a link may linger for a while when it is not usable any more."""
        return self._transport is None or self._transport.is_closing()

    def send(
        self, packed: bytes, deadline: float, overdue: float = 0, *, push: tuple[bytes, bytes] | None = None
    ) -> asyncio.Future[Any]:
        """Queue a packed command; the future ends with its reply or a StoreError by the loop time `deadline`.

        The reply is overdue at the loop time `overdue`, but not before the deadline.
        """
        reply = self._loop.create_future()
        if not self.usable:
            reply.set_exception(StoreUnavailable("lost", "the connection is closed", sent=False))
            return reply
        self._unsent.append((packed, _Call(reply, self._loop.call_at(deadline, self._expire, reply, overdue), push)))
        if not self._batching:
            self._flush()
        elif len(self._unsent) == 1:
            self._loop.call_soon(self._flush)
        return reply

    def retire(self) -> None:
        """Take no more commands, and close after the time to linger."""
        if self.usable:
            self._stop()
            self._loop.call_later(self._linger, self.abort)

    def abort(self) -> None:
        """Close at once; what was sent and not answered ends as lost."""
        self._stop()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _NOTHING:
                self._receive(reply)
        except (hiredis.HiredisError, MemoryError) as error:
            self._failure = ("protocol", f"not the reply of a Redis: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        while self._pending:
            self._end(self._pending.popleft(), StoreUnavailable(*self._failure, sent=True))

    def _flush(self) -> None:
        # A caller that gave up in the meantime gets the certainty that nothing was sent.
        ready = [(packed, call) for packed, call in self._unsent if not call.reply.done()]
        self._unsent.clear()
        if ready and self._transport is not None:
            self._pending.extend(call for _, call in ready)
            self._transport.write(b"".join([packed for packed, _ in ready]))

    def _receive(self, reply: Any) -> None:
        is_push = type(reply) is hiredis.PushNotification
        if is_push and not (self._pending and self._pending[0].push == tuple(reply[:2])):
            if self._on_push is not None:
                self._on_push(reply)
            return
        if not self._pending:
            # A server that has no room for another client says so unasked.
            no_room = isinstance(reply, StoreUnavailable)
            self._failure = (reply.reason, reply.detail) if no_room else ("protocol", "a reply that nobody asked for")
            self.abort()
            return
        # The reply to a pub/sub command that fails is plain, too.
        self._end(self._pending.popleft(), reply)

    @staticmethod
    def _end(call: _Call, outcome: Any) -> None:
        call.timer.cancel()
        if call.reply.done():
            return
        if isinstance(outcome, StoreError):
            call.reply.set_exception(outcome)
        else:
            call.reply.set_result(outcome)

    def _expire(self, reply: asyncio.Future[Any], overdue: float) -> None:
        if reply.done():
            return
        sent = all(call.reply is not reply for _, call in self._unsent)
        reply.set_exception(StoreUnavailable("timeout", "no reply in time", sent=sent))
        if overdue > self._loop.time():
            self._loop.call_at(overdue, self._doubt, reply)
        else:
            self.retire()

    def _doubt(self, given_up: asyncio.Future[Any]) -> None:
        if any(call.reply is given_up for call in self._pending):
            self.retire()

    def _stop(self) -> None:
        if not self.usable:
            return
        self.usable = False
        for _, call in self._unsent:
            self._end(call, StoreUnavailable(*self._failure, sent=False))
        self._unsent.clear()
        if self.on_lost is not None:
            self.on_lost()


async def open_link(
    address: Address,
    login: Login,
    *,
    timeout: float,
    batching: bool = True,
    linger: float = 0,
    on_push: Pushed | None = None,
) -> Link:
    """Connect and log in within `timeout` seconds.

    Raises StoreUnavailable, never with `sent`.
    """
    loop = asyncio.get_running_loop()
    link = Link(batching=batching, linger=linger, on_push=on_push)
    try:
        async with asyncio.timeout(timeout):
            await _connect(link, address, login)
            await _greet(link, login, loop.time() + timeout)
    except BaseException as error:
        link.abort()
        outage = _outage(error, address)
        if outage is None:
            raise
        raise outage from error
    return link


async def _connect(link: Link, address: Address, login: Login) -> None:
    loop = asyncio.get_running_loop()
    if not address.port:
        await loop.create_unix_connection(lambda: link, address.host)
        return
    transport, _ = await loop.create_connection(lambda: link, address.host, address.port, ssl=login.tls)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        # Below the idle time-outs of load balancers and NAT, which drop quiet connections without a word.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)


async def _greet(link: Link, login: Login, deadline: float) -> None:
    hello: list[str] = ["HELLO", "3"]
    if login.password is not None:
        hello += ["AUTH", login.username or "default", login.password]
    hello += ["SETNAME", "join-session"]
    greeting = link.send(pack(tuple(hello)), deadline)
    selected = link.send(pack(("SELECT", login.db)), deadline) if login.db else greeting
    answers = await asyncio.gather(greeting, selected, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    if not isinstance(answers[0], dict):
        raise StoreUnavailable("protocol", "HELLO was not answered as Redis does", sent=False)


def _outage(error: BaseException, address: Address) -> StoreUnavailable | None:
    match error:
        case TimeoutError():
            return StoreUnavailable("timeout", f"{address} does not answer", sent=False)
        case OSError():
            return StoreUnavailable("refused", f"{address}: {error.strerror or error}", sent=False)
        case StoreUnavailable():
            return StoreUnavailable(error.reason, f"{address}: {error}", sent=False)
        case CommandFailed():
            # Not the text: some servers repeat the arguments of a command they do not know, the password among them.
            hint = "is it Redis 7.0 or later, and is the login right?"
            return StoreUnavailable("denied", f"{address}: login refused ({error.code}); {hint}", sent=False)
    return None
