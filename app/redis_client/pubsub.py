"""Subscriptions to sharded pub/sub channels, which are restored after failures.

Messages published while a subscription is down are lost. Each subscription that was lost and is confirmed again is
therefore reported as a gap, so that its users read the state again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Literal

from app.background import Background
from app.backoff import Backoff
from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError, StoreUnavailable
from app.redis_client.feed import Feed
from app.redis_client.link import Link, pack
from app.redis_client.reply import Reply
from app.redis_client.url import Address

_logger = logging.getLogger(__name__)

__all__ = ["STATES", "Channels", "LinkEvent", "State"]

State = Literal["confirmed", "pending", "lost"]
LinkEvent = Literal["opened", "failed", "lost"]

STATES: Final[tuple[State, ...]] = ("confirmed", "pending", "lost")

_MIN_PAUSE_SECONDS: Final = 0.04
_MAX_PAUSE_SECONDS: Final = 0.5
_PING: Final = pack(("PING",))


class Channels:
    """The subscribed channels of this process, with one link to each server that serves some of them.

    ``on_message(channel, payload)`` is called with each message. ``on_gap(channels)`` is called with channels that may
    have missed messages, once they are confirmed again. Both are called from the event loop and must not block; their
    exceptions are logged. ``on_link(event)`` is called when a link was opened, could not be opened or was lost, and
    must not raise.

    A link is closed if the server leaves a PING unanswered for two periods of ``heartbeat`` seconds, or if what is
    published as commands are sent does not reach it.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        on_message: Callable[[str, bytes], None],
        on_gap: Callable[[frozenset[str]], None],
        on_link: Callable[[LinkEvent], None] = lambda _event: None,
        heartbeat: float = 2.0,
    ) -> None:
        self._client = client
        self._topology = client.topology
        self._heartbeat = heartbeat
        self._on_message = on_message
        self._on_gap = on_gap
        self._on_link = on_link
        self._wanted: dict[str, _Subscription] = {}
        self._servers: dict[Address, _ServerSubscriptions] = {}
        # Subscriptions without a server, and whether the map from channels to servers has to be read again.
        self._unassigned: set[_Subscription] = set()
        self._outdated = False
        self._wake = asyncio.Event()
        # By the server that could not be reached; None while it is unknown which server is in charge.
        self._backoffs = defaultdict[Address | None, Backoff](partial(Backoff, _MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS))
        self._restored: set[str] = set()
        self._background = Background("pub/sub", _logger)

    @property
    def healthy(self) -> bool:
        """Whether no subscription is lost."""
        return not any(subscription.lost for subscription in self._wanted.values())

    @property
    def links(self) -> int:
        """The number of open links."""
        return sum(server.open for server in self._servers.values())

    def is_confirmed(self, channel: str) -> bool:
        """Return whether each message published to the channel arrives, as far as is known."""
        subscription = self._wanted.get(channel)
        return subscription is not None and subscription.confirmed

    def count(self, state: State) -> int:
        """Return the number of channels in a state."""
        return sum(subscription.state == state for subscription in self._wanted.values())

    async def start(self) -> None:
        """Begin to serve subscriptions; unavailable servers are retried."""
        self._background.start(self._assign_servers())

    async def close(self) -> None:
        """End all subscriptions and links; waiting callers get StoreUnavailable."""
        await self._background.close()
        for subscription in self._wanted.values():
            subscription.refuse(StoreUnavailable("closed", sent=False))
        self._wanted.clear()

    async def subscribe(self, channel: str, timeout: float = 1.5) -> None:
        """Return when the server has confirmed the subscription; concurrent callers share it.

        Raises StoreUnavailable after ``timeout`` seconds, or a StoreError at once if the server refuses. Subscribing
        again has no effect; one ``unsubscribe`` ends the subscription.
        """
        subscription = self._wanted.get(channel)
        if subscription is None:
            subscription = self._wanted[channel] = _Subscription(channel)
            self._reassign((subscription,))
        outcome = subscription.outcome
        subscription.waiting += 1
        try:
            await asyncio.wait((outcome,), timeout=timeout)
            if not outcome.done():
                raise StoreUnavailable("timeout", "a subscription was not confirmed in time", sent=False)
            outcome.result()
        finally:
            subscription.waiting -= 1
            if not (subscription.waiting or subscription.lost or subscription.confirmed):
                self._drop(subscription)

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering messages of a channel, and tell the server if it can be reached.

        This has no effect while a ``subscribe`` of the same channel is waiting.
        """
        subscription = self._wanted.get(channel)
        if subscription is not None and not subscription.waiting:
            self._drop(subscription)

    def _drop(self, subscription: _Subscription) -> None:
        if self._wanted.get(subscription.channel) is not subscription:
            return
        del self._wanted[subscription.channel]
        self._unassigned.discard(subscription)
        if subscription.server is not None:
            subscription.server.remove(subscription)

    async def _assign_servers(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unassigned:
                subscription = self._unassigned.pop()
                outdated, self._outdated = self._outdated, False
                try:
                    node = await self._topology.node_for(subscription.name, fresh=outdated)
                except StoreUnavailable:
                    self._reassign((subscription,), outdated=True)
                    await asyncio.sleep(self._backoffs[None].next())
                    continue
                self._backoffs.pop(None, None)
                self._assign(subscription, node)

    def _assign(self, subscription: _Subscription, node: Address) -> None:
        if self._wanted.get(subscription.channel) is not subscription:
            return
        server = self._servers.get(node)
        if server is None:
            server = self._servers[node] = _ServerSubscriptions(self, node)
            self._background.start(server.run())
        server.add(subscription)

    def _reassign(self, subscriptions: Iterable[_Subscription], *, outdated: bool = False) -> None:
        self._unassigned.update(sub for sub in subscriptions if self._wanted.get(sub.channel) is sub)
        self._outdated |= outdated
        self._wake.set()

    def _confirmed(self, subscription: _Subscription, node: Address) -> None:
        self._backoffs.pop(node, None)
        if subscription.lost:
            if not self._restored:
                asyncio.get_running_loop().call_soon(self._report_gap)
            self._restored.add(subscription.channel)
        subscription.confirm()

    def _report_gap(self) -> None:
        channels, self._restored = frozenset(self._restored & self._wanted.keys()), set()
        if channels:
            _logger.info("subscriptions restored", extra={"channels": len(channels)})
            self._call(self._on_gap, channels)

    def _message(self, channel: str, payload: bytes) -> None:
        if channel in self._wanted:
            self._call(self._on_message, channel, payload)

    def _call(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            _logger.exception("pub/sub callback failed")


class _Subscription:
    """One channel: ``pending``, ``confirmed``, or ``lost``, which means that it was confirmed before."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.name = channel.encode()
        self.server: _ServerSubscriptions | None = None
        self.lost = False
        # The number of callers that wait for the outcome.
        self.waiting = 0
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def confirmed(self) -> bool:
        return self.outcome.done()

    @property
    def state(self) -> State:
        return "lost" if self.lost else "confirmed" if self.confirmed else "pending"

    def confirm(self) -> None:
        self.lost = False
        if not self.outcome.done():
            self.outcome.set_result(None)

    def lose(self) -> None:
        if self.outcome.done():
            self.lost = True
            self.outcome = asyncio.get_running_loop().create_future()

    def refuse(self, error: StoreError) -> None:
        if not self.outcome.done():
            refused, self.outcome = self.outcome, asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            # Retrieved in case no caller waits.
            refused.exception()


class _ServerSubscriptions:
    """The subscriptions at one server and their link, from the first attempt to connect until its loss."""

    def __init__(self, channels: Channels, node: Address) -> None:
        self._channels = channels
        self._node = node
        self._link: Link | None = None
        self._feed: Feed | None = None
        self._subscriptions: dict[bytes, _Subscription] = {}

    @property
    def open(self) -> bool:
        return self._link is not None

    async def run(self) -> None:
        try:
            self._link = await self._channels._topology.dial(self._node, self._pushed)
            self._feed = Feed(self._channels._client, self._link, timeout=2 * self._channels._heartbeat)
            self._channels._on_link("opened")
            for subscription in self._subscriptions.values():
                self._subscribe(self._link, subscription)
            await self._watch(self._link, self._feed)
            self._channels._on_link("lost")
            _logger.warning("pub/sub connection lost", extra={"channels": len(self._subscriptions)})
        except StoreUnavailable:
            # The link for commands already logs that the server is unavailable.
            self._channels._on_link("failed")
        finally:
            if self._link is not None:
                self._link.abort()
                self._link = None
        for subscription in self._subscriptions.values():
            subscription.lose()
        # Channels subscribed during the pause wait here, too.
        await asyncio.sleep(self._channels._backoffs[self._node].next())
        del self._channels._servers[self._node]
        self._channels._reassign(self._subscriptions.values(), outdated=True)

    def add(self, subscription: _Subscription) -> None:
        subscription.server = self
        self._subscriptions[subscription.name] = subscription
        if self._link is not None:
            self._subscribe(self._link, subscription)

    def remove(self, subscription: _Subscription) -> None:
        subscription.server = None
        del self._subscriptions[subscription.name]
        if self._link is not None:
            self._send(self._link, b"SUNSUBSCRIBE", subscription.name).add_done_callback(asyncio.Future.exception)

    async def _watch(self, link: Link, feed: Feed) -> None:
        lost = asyncio.Event()
        link.on_lost = lost.set
        overdue_after = 2 * self._channels._heartbeat
        pong: asyncio.Future[Reply] | None = None
        check: asyncio.Future[None] | None = None
        while link.usable:
            try:
                await asyncio.wait_for(lost.wait(), self._channels._heartbeat)
            except TimeoutError:
                if pong is None or pong.done():
                    pong = link.send(_PING, asyncio.get_running_loop().time() + overdue_after)
                    pong.add_done_callback(asyncio.Future.exception)
                if check is None or check.done():
                    check = self._channels._background.start(self._check(link, feed))

    async def _check(self, link: Link, feed: Feed) -> None:
        if await feed.is_cut_off(self._subscriptions, asyncio.get_running_loop().time()):
            _logger.warning("pub/sub connection is cut off: another server takes the commands")
            link.abort()

    def _subscribe(self, link: Link, subscription: _Subscription) -> None:
        answer = self._send(link, b"SSUBSCRIBE", subscription.name)
        answer.add_done_callback(partial(self._answered, link, subscription))

    def _send(self, link: Link, command: bytes, name: bytes) -> asyncio.Future[Reply]:
        # A subscription may take as long as a PONG.
        deadline = asyncio.get_running_loop().time() + 2 * self._channels._heartbeat
        return link.send(pack((command, name)), deadline, push=(command.lower(), name))

    def _answered(self, link: Link, subscription: _Subscription, answer: asyncio.Future[Reply]) -> None:
        error = answer.exception()
        if self._subscriptions.get(subscription.name) is not subscription or not link.usable:
            return
        if error is None:
            self._channels._confirmed(subscription, self._node)
            return
        if isinstance(error, StoreUnavailable):
            self._channels._topology.on_error(error)
        if isinstance(error, StoreError) and not (isinstance(error, StoreUnavailable) and error.worth_retrying):
            subscription.refuse(error)
        self._unassign(subscription, self._channels._backoffs[self._node].next())

    def _unassign(self, subscription: _Subscription, pause: float) -> None:
        del self._subscriptions[subscription.name]
        subscription.server = None
        reassign = partial(self._channels._reassign, (subscription,), outdated=True)
        asyncio.get_running_loop().call_later(pause, reassign)

    def _pushed(self, push: list[Reply]) -> None:
        match push:
            case [b"smessage", bytes() as name, bytes() as payload]:
                self._channels._message(name.decode(errors="replace"), payload)
            case [b"sunsubscribe", bytes() as name, *_] if name not in self._subscriptions:
                if self._feed is not None:
                    self._feed.ended(name)
            case [b"sunsubscribe", bytes() as name, *_]:
                # The slot of the channel has moved to another node.
                self._subscriptions[name].lose()
                self._unassign(self._subscriptions[name], 0)
