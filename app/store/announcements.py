"""Changes of sessions, as the replicas announce them to each other: one sharded channel a session."""

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
    """Somebody has brought a session to ``head``, or ended it (None).

    ``trace``: the W3C ``traceparent`` of whoever did, or ""; ``committed``: when, Unix milliseconds by Redis's clock.
    """

    head: Head | None
    trace: str
    committed: int


class Listener(Protocol):
    """What gets the announcements."""

    def announced(self, code: str, announcement: Announcement) -> None:
        """A session has changed."""

    def missed(self, codes: Iterable[str] | None) -> None:
        """Announcements of these sessions, or of any (None), may have been missed, or were not understood.

        Another version of this service may have sent them.
        """


class Announcements:
    """Subscribes to changes of sessions by their codes.

    ``listen`` names who gets them, before the first subscription. An announcement is a hint: Redis holds the state.
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
        """Whether no subscription is lost at the moment."""
        return self._channels.healthy

    async def start(self) -> None:
        await self._channels.start()

    async def close(self) -> None:
        await self._channels.close()

    async def subscribe(self, code: str) -> None:
        """Returns once every change committed from now on will be heard of."""
        with client_errors(changing=False):
            await self._channels.subscribe(self._keys.channel(code), self._timeout)

    async def unsubscribe(self, code: str) -> None:
        with client_errors(changing=False):
            await self._channels.unsubscribe(self._keys.channel(code))

    def _heard(self, channel: str, message: bytes) -> None:
        try:
            # Later versions may say more behind these.
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
