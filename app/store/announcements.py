"""Announcements of changes between replicas, over one sharded pub/sub channel for each session."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import orjson

from app.observability.metrics import Metrics
from app.redis_client.client import RedisClient
from app.redis_client.pubsub import STATES, Channels
from app.sessions.head import Head
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["Announcement", "Announcements", "Listener", "Rerated"]

_logger = logging.getLogger(__name__)


class Rerated(NamedTuple):
    """The ratings of a ``participant`` have changed, by None those of all; by a ``connection``, or by none."""

    participant: str | None
    connection: str | None


class Announcement(NamedTuple):
    """A session has changed and is now at ``head``, or has ended (None).

    ``trace``: the W3C ``traceparent`` of the change, or "". ``committed``: its time, Unix milliseconds of Redis's
    clock. ``expires_at``: when the session expires. ``changes``: the mirrored fields that were set, or deleted (None),
    since the version before; None if they were not announced, because they are large or by an earlier release.
    ``rerated``: whose ratings have changed, if others than the one who has changed them are to be told.
    """

    head: Head | None
    trace: str
    committed: int
    expires_at: int | None = None
    changes: Mapping[bytes, bytes | None] | None = None
    rerated: Rerated | None = None


class Listener(Protocol):
    """The receiver of announcements."""

    def announced(self, code: str, announcement: Announcement) -> None:
        """Handle a change of a session."""

    def extended(self, code: str, expires_at: int) -> None:
        """Handle another time of expiry (Unix milliseconds) of a session that has not changed."""

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

    def is_heard(self, code: str) -> bool:
        """Return whether each change of a session is announced to this replica, as far as is known."""
        return self._channels.is_confirmed(self._keys.channel(code))

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
        code = self._keys.code_of(channel)
        try:
            heard = _parsed(message)
        except ValueError:
            _logger.warning("an announcement cannot be read: the session is read", extra={"bytes": len(message)})
            self._tell_missed([code])
            return
        if isinstance(heard, Announcement):
            self._metrics.announcements.inc()
        if self._listener is None:
            return
        if isinstance(heard, Announcement):
            self._listener.announced(code, heard)
        else:
            self._listener.extended(code, heard)

    def _missed(self, channels: Iterable[str] | None) -> None:
        self._metrics.gaps.inc()
        self._tell_missed(None if channels is None else [self._keys.code_of(channel) for channel in channels])

    def _tell_missed(self, codes: Iterable[str] | None) -> None:
        if self._listener is not None:
            self._listener.missed(codes)


def _parsed(message: bytes) -> Announcement | int:
    """Parse a change, or a time of expiry; raise ValueError for anything else.

    ``<epoch>-<version> <trace> <committed> {"expires": ..., "fields": {...}}``, without the JSON from earlier releases;
    later ones may add keys to it. ``ended <trace> <committed>``. ``expires <time>``.
    """
    first, *words = message.decode().split(" ", 3)
    if first == "expires" and len(words) == 1:
        return int(words[0])
    trace, committed, *rest = words
    if first == "ended":
        return Announcement(None, trace, int(committed))
    if not rest:
        return Announcement(Head.parse(first), trace, int(committed))
    told = orjson.loads(rest[0])
    if not isinstance(told, dict) or not isinstance(expires_at := told.get("expires"), int):
        raise ValueError("no time of expiry")
    changes, rerated = _changes(told.get("fields")), _rerated(told.get("rerated"))
    return Announcement(Head.parse(first), trace, int(committed), expires_at, changes, rerated)


def _rerated(told: object) -> Rerated | None:
    if told is None:
        return None
    if not isinstance(told, dict):
        raise ValueError("nobody's ratings")
    return Rerated(told.get("participant"), told.get("connection"))


def _changes(told: object) -> dict[bytes, bytes | None] | None:
    if told is None:
        return None
    if not isinstance(told, dict):
        raise ValueError("no fields")
    changes: dict[bytes, bytes | None] = {}
    for name, value in told.items():
        if value is not None and not isinstance(value, str):
            raise ValueError("no field")
        changes[name.encode()] = None if value is None else value.encode()
    return changes
