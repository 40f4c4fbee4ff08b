"""Checks that what is published reaches a pub/sub link."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError
from app.redis_client.link import Link, pack

__all__ = ["Feed"]


class Feed:
    """What is published to a link's server.

    A link may stay open to a server that is no primary any more: it answers each PING, but what is published to the
    primary does not arrive. So a channel of the link's own is published to as commands are sent, and the reply is the
    number of subscribers that the message was sent to. ``timeout``: seconds for the subscription to that channel.
    """

    def __init__(self, client: RedisClient, link: Link, *, timeout: float) -> None:
        self._client = client
        self._link = link
        self._timeout = timeout
        self._channel: bytes | None = None

    async def is_cut_off(self, subscribed: Iterable[bytes], now: float) -> bool:
        """Return whether a message did not reach the link. ``subscribed``: channels of the link, with a hash tag each.

        The link's own channel has the hash tag of one of them, as in a Cluster a link serves some of the slots.
        ``now``: the loop time.
        """
        near = next(iter(subscribed), None)
        if near is None:
            self._end(now + self._timeout)
            return False
        if self._channel is None:
            self._channel = await self._subscribed(near, now + self._timeout)
        if self._channel is None:
            return False
        channel = self._channel
        try:
            receivers = await self._client.execute("SPUBLISH", channel, b"")
        except StoreError:
            return False
        # Otherwise its slot has moved meanwhile, to the server that has replied.
        return receivers == 0 and self._channel == channel

    def ended(self, channel: bytes) -> None:
        """Handle that the server has ended the subscription to a channel."""
        if channel == self._channel:
            self._channel = None

    def _end(self, deadline: float) -> None:
        """End the subscription, as long as the link has no others."""
        if self._channel is not None:
            self._link.send(
                pack((b"SUNSUBSCRIBE", self._channel)), deadline, push=(b"sunsubscribe", self._channel)
            ).add_done_callback(asyncio.Future.exception)
            self._channel = None

    async def _subscribed(self, near: bytes, deadline: float) -> bytes | None:
        name = near + b":" + secrets.token_hex(8).encode()
        try:
            await self._link.send(pack((b"SSUBSCRIBE", name)), deadline, push=(b"ssubscribe", name))
        except StoreError:
            return None
        return name
