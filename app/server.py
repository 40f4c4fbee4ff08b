"""The composition root: everything long-lived is made here, started in order and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from pydantic import SecretStr

from app.http.addresses import ClientAddresses
from app.http.app import create_app
from app.http.internal import Health, create_internal_app
from app.http.sessions import Limits
from app.listener import Listener
from app.observability.metrics import Metrics
from app.realtime.counting import EngineMetrics
from app.realtime.drain import drain
from app.realtime.engine import SocketServer
from app.realtime.entry import Entry
from app.realtime.handlers import SocketHandlers
from app.realtime.presence import Presence
from app.realtime.rooms import Rooms
from app.sessions.admission import Client
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.payloads import CreateSession
from app.sessions.rules import Rules
from app.sessions.service import SessionService, random_id
from app.sessions.tokens import TokenSigner
from app.settings import Settings
from app.store.announcements import Announcements
from app.store.budgets import RedisBudgets
from app.store.connection import Connection
from app.store.embedded import EmbeddedServer
from app.store.errors import StoreError
from app.store.recoveries import RedisRecoveries
from app.store.replicas import RedisReplicas
from app.store.secret import DeploymentSecret
from app.store.sessions import RedisSessions

__all__ = ["Replica", "run_replica", "serve"]

_CONTACT_INTERVAL: Final = 0.5
_LAST_WORDS: Final = 2.0

_logger = logging.getLogger(__name__)


async def serve(settings: Settings, welcome: Callable[[str, str], None] | None = None) -> int:
    """Serves until SIGTERM or SIGINT, then sends the clients away; returns the exit code.

    ``welcome`` gets the address and the code of a session made for whoever tries the service out.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with run_replica(settings) as replica:
        if welcome is not None:
            welcome(f"http://localhost:{replica.public.port}", await replica.first_session())
        await stopping.wait()
        _logger.info("stopping; clients are sent to the other replicas", extra={"clients": replica.sockets.open_count})
    _logger.info("stopped")
    return 0


@asynccontextmanager
async def run_replica(settings: Settings) -> AsyncIterator[Replica]:
    """A replica that serves while in the context, on an embedded Valkey where no Redis is set; drained at the end."""
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
    """One replica: what is behind its two ports, wired up; ``start`` sets it going."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self.id = secrets.token_hex(6)
        self.metrics = Metrics()
        self.health = Health()
        self._settings = settings
        self._contacted = asyncio.Event()
        self._connection = connection = Connection.connect(redis_url, timeout=settings.redis_timeout)
        self._secret = DeploymentSecret(connection, _bytes(settings.secret))
        self._store = store = RedisSessions(connection, creation_memory=settings.lifetime)
        self.service = service = SessionService(
            store,
            RedisBudgets(connection, self._secret),
            CodeSpace(settings.code_characters, settings.code_length),
            TokenSigner(self._secret),
            _rules(settings),
            new_id=random_id,
        )
        addresses = ClientAddresses(settings.trusted_proxies, settings.unlimited_addresses)
        self.sockets = _socket_server(settings, addresses, self.metrics)
        replicas = RedisReplicas(connection, self.id, lease=settings.lease)
        self._announcements = Announcements(
            connection,
            on_change=lambda code, head: self._rooms.hint(code, head),
            on_gap=lambda codes: self._rooms.refresh(codes),
            timeout=settings.redis_timeout,
        )
        self._rooms = rooms = Rooms(
            service,
            store,
            self._announcements,
            replicas,
            self.sockets,
            new_epoch=random_id,
            expiry_warning=settings.expiry_warning,
        )
        self._presence = presence = Presence(
            replicas, store, service, rooms, lease=settings.lease, grace=settings.grace, details={}
        )
        entry = Entry(service, store, rooms, presence, RedisRecoveries(connection), self.sockets)
        SocketHandlers(
            self.sockets,
            service,
            rooms,
            entry,
            clients=addresses.client,
            replica=self.id,
            join_deadline=settings.join_deadline,
        ).register()
        limits = Limits(settings.body_limit, settings.movies_body_limit, _text(settings.create_key))
        self._http = create_app(service, addresses, limits, allowed_origins=settings.allowed_origins)
        self.public = Listener(
            self._dispatch,
            settings.host,
            settings.port,
            max_message=settings.movies_body_limit,
            patience=math.ceil(settings.drain_timeout),
        )
        self.internal = Listener(
            create_internal_app(self.health, self.metrics.registry),
            settings.internal_host,
            settings.internal_port,
            max_message=settings.body_limit,
            patience=1,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Starts everything; ``stack`` closes it again, clients first, Redis last."""
        stack.push_async_callback(self._connection.close)
        stack.push_async_callback(self._store.close)
        stack.push_async_callback(self._announcements.close)
        await self._announcements.start()
        stack.push_async_callback(self._presence.settle, _LAST_WORDS)
        await self.internal.start()
        stack.push_async_callback(self.internal.stop)
        stack.push_async_callback(self._rooms.close)
        for work in (self._keep_contact(), self._presence.keep_lease(), self._presence.sweep(), self._rooms.keep_up()):
            stack.push_async_callback(_cancel, asyncio.create_task(_logged(work)))
        await self.sockets.start()
        stack.push_async_callback(self.sockets.close)
        await self.public.start()
        stack.push_async_callback(self.public.stop)
        stack.push_async_callback(self._drain)

    async def first_session(self) -> str:
        """The code of a new session, made as soon as Redis answers."""
        await self._contacted.wait()
        created = await self.service.create(CreateSession(), Client("", unlimited=True))
        return created.session.code

    async def _drain(self) -> None:
        self.health.draining = True
        self.metrics.draining.set(1)
        await drain(self.sockets, self._settings.drain_timeout)

    async def _keep_contact(self) -> None:
        """Learns what only Redis knows, as soon as it answers, and keeps asking whether it does."""
        while True:
            try:
                await self._connection.ping()
                await self._secret.load()
                await self._store.forget_expired()
                self.health.contacted = self.health.redis_up = True
                self._contacted.set()
            except (StoreError, SessionError):
                self.health.redis_up = False
            self.metrics.redis_up.set(self.health.redis_up)
            await asyncio.sleep(_CONTACT_INTERVAL)

    async def _dispatch(self, scope: Any, receive: Any, send: Any) -> None:
        is_for_sockets = scope["type"] == "websocket" or scope["path"].startswith(self.sockets.path)
        await (self.sockets.asgi if is_for_sockets else self._http)(scope, receive, send)


def _socket_server(settings: Settings, addresses: ClientAddresses, metrics: Metrics) -> SocketServer:
    return SocketServer(
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        connect_timeout=settings.connect_timeout,
        max_payload=settings.movies_body_limit,
        allowed_origins="*" if "*" in settings.allowed_origins else settings.allowed_origins or None,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        unlimited=addresses.is_unlimited,
        events_per_second=settings.events_per_second,
        burst=settings.events_burst,
        address=addresses.address,
        observer=EngineMetrics(metrics),
        logger=logging.getLogger("app.realtime.engine"),
    )


def _rules(settings: Settings) -> Rules:
    return Rules(**{name: getattr(settings, name) for name in Rules.__dataclass_fields__})


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _bytes(secret: SecretStr | None) -> bytes | None:
    return None if secret is None else secret.get_secret_value().encode()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """Background work that ends by an error is a bug: it is said loudly."""
    try:
        await work
    except Exception as error:
        _logger.critical("background work has failed", exc_info=error)
        raise


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
