"""One replica: its parts are started in order and closed in reverse order."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from app.background import Background
from app.forwarding.directory import ADDRESS
from app.http.addresses import ClientAddresses
from app.http.health import Health
from app.observability.lag import watch_event_loop
from app.observability.losses import Losses
from app.observability.metrics import Metrics
from app.observability.tracing import Tracing
from app.realtime.expiries import end_expired
from app.redis_client.embedded import EmbeddedServer
from app.redis_client.url import parse_url
from app.replica.assembly import (
    assemble_http,
    assemble_internal,
    assemble_redis,
    assemble_sessions,
    assemble_sockets,
)
from app.replica.contact import Contact
from app.replica.drain import Drain
from app.replica.from_settings import bucket_cookie
from app.replica.overload import Overload
from app.replica.own_address import own_address
from app.replica.refusal import RedisRefusal
from app.sessions.admission import Client
from app.sessions.payloads import CreateSession
from app.settings import Settings, traces_wanted
from app.store.secret_list import SECRETS

__all__ = ["Replica", "run_replica"]

# The field of a replica's details in Redis by which the chart of Redis knows that the replica has a new password.
_LOGIN: Final = "login"

_SHUTDOWN_GRACE_SECONDS: Final = 2.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def run_replica(settings: Settings) -> AsyncIterator[Replica]:
    """Run a replica during the block, with an embedded Valkey if no Redis is set; drain it at the end."""
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            redis_url = (await stack.enter_async_context(EmbeddedServer())).url
            _logger.info("no JOIN_SESSION_REDIS_URL: an embedded Valkey keeps the sessions until this process ends")
        else:
            redis_url = settings.redis_url.get_secret_value()
        replica = Replica(settings, redis_url)
        await replica.start(stack)
        _logger.info("serving", extra={"port": replica.public.port, "internal_port": replica.internal.port})
        yield replica


class Replica:
    """A replica with its two ports."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self.id = secrets.token_hex(6)
        self.metrics = metrics = Metrics(traced=traces_wanted())
        self.health = health = Health()
        self._settings = settings
        self._redis_url = redis_url
        # A replica is useless without these tasks, so their failures are critical.
        self._background = Background("replica", _logger, level=logging.CRITICAL)
        self._tracing = tracing = Tracing(self.id) if traces_wanted() else None
        self._overload = overload = Overload(settings, metrics)
        addresses = ClientAddresses(settings.trusted_proxies, settings.unlimited_addresses)
        self.redis = redis = assemble_redis(settings, redis_url, self.id, metrics, tracing)
        self.sessions = sessions = assemble_sessions(settings, redis)
        losses = Losses(metrics)
        bucket = bucket_cookie(settings, redis.secret)
        self.sockets = sockets = assemble_sockets(
            settings, overload, self.id, addresses, redis, sessions, bucket, metrics, losses, tracing
        )
        self.public = assemble_http(
            settings, overload.caps, addresses, redis, sessions, sockets, health, bucket, metrics, tracing
        )
        refusal = RedisRefusal(health, sockets.directory.addresses, name=settings.replicas_name, lease=settings.lease)
        self._contact = Contact(redis, health, metrics, losses, refusal, on_loss=lambda: sockets.rooms.missed(None))
        self._drain = Drain(
            sockets.server,
            sockets.forwarder,
            health,
            metrics,
            window=settings.drain_timeout,
            affinity_cookie=settings.affinity_cookie,
            bucket_cookie=bucket,
        )
        self.internal = assemble_internal(
            settings, overload.caps, self.id, addresses, redis, sessions, sockets, health, self._drain, metrics
        )
        self._watch_gauges()

    async def start(self, stack: AsyncExitStack) -> None:
        """Start everything; ``stack`` closes it again, clients first, Redis and traces last."""
        redis, sockets = self.redis, self.sockets
        stack.enter_context(self.metrics.collector_pauses.watched())
        if self._tracing is not None:
            stack.push_async_callback(self._tracing.close)
        stack.push_async_callback(redis.client.close)
        stack.push_async_callback(redis.sessions.close)
        stack.push_async_callback(redis.announcements.close)
        await redis.announcements.start()
        stack.push_async_callback(sockets.presence.settle, _SHUTDOWN_GRACE_SECONDS)
        await self.internal.start()
        stack.push_async_callback(self.internal.stop)
        address = await self._own_address()
        stack.push_async_callback(sockets.rooms.close)
        if redis.webhooks is not None:
            stack.push_async_callback(redis.webhooks.close)
            self._background.start(redis.webhooks.send())
        stack.push_async_callback(self._background.close)
        for work in (
            self._contact.keep(),
            sockets.presence.keep_lease(partial(self._details, address)),
            sockets.presence.sweep(),
            end_expired(redis.live, redis.sessions),
            sockets.rooms.keep_up(),
            sockets.forwarder.watch(self._settings.lease / 3),
            watch_event_loop(self._take_lag),
        ):
            self._background.start(work)
        await sockets.server.start()
        # Wait for Redis, so that no client is refused only because the replica has just started.
        await self._contact.wait(self._settings.redis_timeout)
        await self.public.start()
        stack.push_async_callback(self.public.stop)
        stack.push_async_callback(sockets.server.close)
        stack.callback(sockets.forwarder.close)
        stack.push_async_callback(self._drain.finish)

    def stop_now(self) -> None:
        """End the drain at once, also one that has not started yet."""
        self._drain.stop_now()
        self.public.force_exit = True

    async def first_session(self) -> str:
        """Create a sample session as soon as Redis answers; return its code."""
        await self._contact.wait()
        # With an explicit lifetime the session does not expire early while nobody has joined.
        asked = CreateSession(ttl_seconds=self._settings.lifetime)
        created = await self.sessions.service.create(asked, Client("", unlimited=True))
        return created.session.code

    def _details(self, address: str) -> dict[str, str]:
        """Return what the other replicas know of this one, and who rotates passwords and secrets."""
        return {
            ADDRESS: address,
            SECRETS: self.redis.secret.announced(),
            _LOGIN: self.redis.client.topology.logins.password_id(),
        }

    def _take_lag(self, lag: float) -> None:
        self.metrics.event_loop_lag.observe(lag)
        self._overload.tick(lag, self.sockets.server.open_count)

    def _watch_gauges(self) -> None:
        """Register functions for gauges whose values are known at any time."""
        metrics, server, rooms = self.metrics, self.sockets.server, self.sockets.rooms
        metrics.max_sessions.set(self._settings.max_sessions)
        metrics.sessions.set_function(lambda: rooms.session_count)
        metrics.members.set_function(lambda: len(rooms.members))
        metrics.participants.set_function(lambda: rooms.members.participant_count)
        metrics.slow_connections.set_function(
            lambda: sum(connection.upgraded and connection.unsent > 0 for connection in server.connections())
        )

    async def _own_address(self) -> str:
        settings = self._settings
        redis = [address for address in parse_url(self._redis_url).addresses if address.port]
        return await own_address(settings.replica_address, settings.internal_host, self.internal.port, redis)
