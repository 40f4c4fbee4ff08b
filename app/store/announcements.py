"""Announcements of changes between replicas, over one sharded pub/sub channel for each session."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, Protocol

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient
from app.redis_client.pubsub import STATES, Channels
from app.sessions.model import Head
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["Announcement", "Announcements", "Listener"]

_logger = logging.getLogger(__name__)


class Announcement(NamedTuple):
    """A session has changed and is now at ``head``, or has ended (None).

    ``trace``: the W3C ``traceparent`` of the change, or "". ``committed``: its time, Unix milliseconds of Redis's
    clock.
    """

    head: Head | None
    trace: str
    committed: int


class Listener(Protocol):
    """The receiver of announcements."""

    def announced(self, code: str, announcement: Announcement) -> None:
        """Handle a change of a session."""

    def missed(self, codes: Iterable[str] | None) -> None:
        """Handle that announcements of these sessions, or of any (None), may have been missed.

        An announcement that cannot be parsed counts as missed: another version of the service may have sent it.
        """


class Announcements:
    """Subscriptions to the changes of sessions, by code.

    ``listen`` sets the receiver, before the first subscription. Announcements may be lost: Redis holds the state.
    """

    def __init__(self, client: RedisClient, keys: Keys, *, timeout: float, metrics: Metrics) -> None:
        self._keys = keys
        self._listener: Listener | None = None
        self._timeout = timeout
        self._metrics = metrics
        self._channels = Channels(
            client,
            on_message=self._heard,
            on_gap=self._missed,
            on_link=lambda event: metrics.pubsub_connection_events.labels(event).inc(),
        )
        metrics.pubsub_connections.set_function(lambda: self._channels.links)
        for state in STATES:
            metrics.pubsub_channels.labels(state).set_function(partial(self._channels.count, state))

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def healthy(self) -> bool:
        """Whether no subscription is lost."""
        return self._channels.healthy

    async def start(self) -> None:
        await self._channels.start()

    async def close(self) -> None:
        await self._channels.close()

    async def subscribe(self, code: str) -> None:
        """Return when every later change will be announced to this replica."""
        with client_errors(changing=False):
            await self._channels.subscribe(self._keys.channel(code), self._timeout)

    async def unsubscribe(self, code: str) -> None:
        with client_errors(changing=False):
            await self._channels.unsubscribe(self._keys.channel(code))

    def _heard(self, channel: str, message: bytes) -> None:
        try:
            # Later versions may append further fields.
            announced, trace, committed, *_ = message.decode().split(" ")
            head = None if announced == "ended" else Head.parse(announced)
            announcement = Announcement(head, trace, int(committed))
        except ValueError:
            _logger.warning("an announcement cannot be read: the session is read", extra={"bytes": len(message)})
            self._tell_missed([self._keys.code_of(channel)])
            return
        self._metrics.announcements.inc()
        if self._listener is not None:
            self._listener.announced(self._keys.code_of(channel), announcement)

    def _missed(self, channels: Iterable[str] | None) -> None:
        self._metrics.gaps.inc()
        self._tell_missed(None if channels is None else [self._keys.code_of(channel) for channel in channels])

    def _tell_missed(self, codes: Iterable[str] | None) -> None:
        if self._listener is not None:
            self._listener.missed(codes)
