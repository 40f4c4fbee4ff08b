"""The composition root: everything long-lived is made here, started in order and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from time import perf_counter
from typing import Any, Final

from app.deadline import deadline
from app.forwarding.directory import ADDRESS, Peers
from app.forwarding.receiver import ForwardedRequests
from app.forwarding.sender import PATH as FORWARDED_PATH
from app.forwarding.sender import Forwarder
from app.forwarding.signature import Voucher
from app.http.addresses import ClientAddresses
from app.http.app import create_app
from app.http.capped import Application, CappedRequests
from app.http.counting import count_requests
from app.http.internal import PROBES, Health, create_internal_app
from app.http.operators import OperatorsAPI, ReplicaControls
from app.http.sessions import Limits
from app.http.tracing import TracedRequests
from app.observability.lag import watch_event_loop
from app.observability.logging import begin_request
from app.observability.metrics import Metrics
from app.observability.tracing import Tracing, untraced_delivery
from app.realtime.counting import RoomMetrics
from app.realtime.handlers import SocketHandlers
from app.realtime.membership import Entry
from app.realtime.presence import Presence
from app.realtime.rooms import Rooms
from app.realtime.tracing import TracedHandlers
from app.redis_client.embedded import EmbeddedServer
from app.redis_client.errors import StoreError
from app.redis_client.url import parse_url
from app.replica.assembly import (
    bytes_of,
    forwarding_admission,
    port_limits,
    redis_connection,
    session_rules,
    session_store,
    shown_limits,
    socket_server,
    text_of,
)
from app.replica.collector import tune_collector
from app.replica.drain import drain, parting
from app.replica.listener import Listener
from app.replica.own_address import own_address
from app.sessions.administration import Administration
from app.sessions.admission import Client
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.guard import KeyGuard
from app.sessions.payloads import CreateSession
from app.sessions.service import SessionService, random_id
from app.sessions.tokens import TokenSigner
from app.settings import Settings, traces_wanted
from app.store.announcements import Announcements
from app.store.budgets import RedisBudgets
from app.store.creators import RedisCreators
from app.store.listing import RedisListing
from app.store.recoveries import RedisRecoveries
from app.store.replicas import RedisReplicas
from app.store.secret import DeploymentSecret

__all__ = ["Replica", "run_replica", "serve"]

_CONTACT_INTERVAL: Final = 0.5
_LAST_WORDS: Final = 2.0
# HTTP requests are answered within two seconds, whatever Redis does.
_PATIENCE: Final = 3

_logger = logging.getLogger(__name__)


async def serve(settings: Settings, welcome: Callable[[str, str], None] | None = None) -> int:
    """Serves until SIGTERM or SIGINT, then sends the clients away, at once after another; returns the exit code.

    ``welcome`` gets the address and the code of a session made for whoever tries the service out.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with run_replica(settings) as replica:
        tune_collector()
        if welcome is not None:
            welcome(f"http://localhost:{replica.public.port}", await replica.first_session())
        await stopping.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, replica.hurry)
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
        self._redis_url = redis_url
        self._contacted = asyncio.Event()
        self._hurried = asyncio.Event()
        self._drained_since: float | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._details: dict[str, str] = {}
        self._tracing = tracing = Tracing(self.id) if traces_wanted() else None
        self._connection = connection = redis_connection(redis_url, settings, self.metrics, tracing)
        self._secret = DeploymentSecret(connection, bytes_of(settings.secret))
        self._store = store = session_store(connection, settings, tracing)
        budgets = RedisBudgets(connection, self._secret)
        creators = RedisCreators(connection, self._secret, longest=settings.max_lifetime)
        codes = CodeSpace(settings.code_characters, settings.code_length)
        rules = session_rules(settings)
        signer = TokenSigner(self._secret, self._secret.former)
        replicas = RedisReplicas(connection, self.id, lease=settings.lease)
        self.service = service = SessionService(
            store, budgets, creators, codes, signer, rules, new_id=random_id, renewed_at=lambda: replicas.renewed_at
        )
        addresses = ClientAddresses(settings.trusted_proxies, settings.unlimited_addresses)
        voucher = Voucher(self._secret, replicas.now, self._secret.former)
        peers = Peers(replicas, self.id, memory=settings.lease / 2)
        self._forwarder = Forwarder(
            self.id,
            peers,
            voucher,
            client=addresses.address,
            admission=forwarding_admission(settings, addresses),
            patience=settings.ping_interval + settings.ping_timeout,
            count=lambda result: self.metrics.forwarded.labels(result).inc(),
        )
        self.sockets = socket_server(settings, addresses, self.metrics, self.id, self._forwarder)
        self._forwarded = ForwardedRequests(self.id, voucher, self.sockets.asgi, self.sockets.path)
        self._announcements = Announcements(
            connection,
            on_change=lambda code, announcement: self._rooms.hint(code, announcement),
            on_gap=lambda codes: self._rooms.refresh(codes),
            timeout=settings.redis_timeout,
            metrics=self.metrics,
        )
        observer = RoomMetrics(self.metrics, replicas.now)
        recoveries = RedisRecoveries(connection, rest=settings.code_rest)
        self._rooms = rooms = Rooms(
            service,
            store,
            self._announcements,
            replicas,
            recoveries,
            self.sockets,
            on_loss=lambda code: self._presence.doubt(code),
            on_gone=lambda code, connection: self._presence.gone(code, connection, attaching=True),
            expiry_warning=settings.expiry_warning,
            delivery=tracing.delivery if tracing else untraced_delivery,
            observer=observer,
        )
        self._presence = presence = Presence(
            replicas, store, service, rooms, lease=settings.lease, grace=settings.grace, details=self._details
        )
        entry = Entry(service, store, rooms, presence, recoveries, self.sockets, observer)
        handlers = partial(TracedHandlers, tracing=tracing) if tracing else SocketHandlers
        handlers(
            self.sockets,
            service,
            rooms,
            entry,
            replica=self.id,
            redis_timeout=settings.redis_timeout,
            join_deadline=settings.join_deadline,
            observer=observer,
        ).register()
        key = text_of(settings.create_key)
        guard = None if key is None else KeyGuard(key, budgets)
        limits = Limits(settings.body_limit, settings.movies_body_limit, guard)
        http = create_app(service, addresses, limits, allowed_origins=settings.allowed_origins, demo=settings.demo)
        count_requests(http, self.metrics)
        self._http = TracedRequests(http, tracing) if tracing else http
        public: Application = self._dispatch
        if settings.trusted_proxies:
            public = CappedRequests(public, addresses, settings.max_tcp_connections_per_address)
        self.public = Listener(
            public,
            settings.host,
            settings.port,
            limits=port_limits(settings, self.sockets.path, addresses.is_exempt),
            max_message=settings.movies_body_limit,
            patience=_PATIENCE,
        )
        self._watch_gauges()
        self._internal_http = create_internal_app(self.health, self.metrics.registry)
        if token := text_of(settings.operator_token):
            administration = Administration(store, RedisListing(connection), budgets, codes, rules)
            # No proxy leads to the internal port, so nobody is believed there.
            direct = ClientAddresses((), settings.unlimited_addresses)
            controls = ReplicaControls(self.id, self._state, shown_limits(settings), replicas.living, self.begin_drain)
            operators = OperatorsAPI(administration, controls, KeyGuard(token, budgets), direct)
            self._internal_http.register_blueprint(operators.blueprint())

        def is_exempt_here(address: str) -> bool:
            return addresses.is_exempt(address) or peers.is_host(address)

        self.internal = Listener(
            self._dispatch_internal,
            settings.internal_host,
            settings.internal_port,
            limits=port_limits(settings, FORWARDED_PATH, is_exempt_here, PROBES),
            max_message=settings.movies_body_limit,
            patience=1,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Starts everything; ``stack`` closes it again, clients first, Redis and traces last."""
        if self._tracing is not None:
            stack.push_async_callback(self._tracing.close)
        stack.push_async_callback(self._connection.close)
        stack.push_async_callback(self._store.close)
        stack.push_async_callback(self._announcements.close)
        await self._announcements.start()
        stack.push_async_callback(self._presence.settle, _LAST_WORDS)
        await self.internal.start()
        stack.push_async_callback(self.internal.stop)
        self._details[ADDRESS] = await self._own_address()
        stack.push_async_callback(self._rooms.close)
        for work in (
            self._keep_contact(),
            self._presence.keep_lease(),
            self._presence.sweep(),
            self._rooms.keep_up(),
            self._forwarder.watch(self._settings.lease / 3),
            watch_event_loop(self.metrics.event_loop_lag),
        ):
            stack.push_async_callback(_cancel, asyncio.create_task(_logged(work)))
        await self.sockets.start()
        await self._first_contact()
        await self.public.start()
        stack.push_async_callback(self.public.stop)
        stack.push_async_callback(self.sockets.close)
        stack.callback(self._forwarder.close)
        stack.push_async_callback(self._drain)

    def hurry(self) -> None:
        """Ends the drain that is under way, or is to come, at once."""
        self._hurried.set()
        self.public.force_exit = True

    async def first_session(self) -> str:
        """The code of a new session, made as soon as Redis answers."""
        await self._contacted.wait()
        # Whoever tries the service out may take the time: asked for, the lifetime holds from the start.
        asked = CreateSession(ttl_seconds=self._settings.lifetime)
        created = await self.service.create(asked, Client("", unlimited=True))
        return created.session.code

    def begin_drain(self) -> int:
        """Sends the clients away and takes no others; everything else goes on. Returns how many clients there are."""
        self._leave()
        return self.sockets.open_count

    def _leave(self) -> asyncio.Task[None]:
        if self._leaving is None:
            self.health.draining = True
            self._drained_since = perf_counter()
            self.metrics.draining.set(1)
            window, cookie = self._settings.drain_timeout, self._settings.affinity_cookie
            leaving = drain(self.sockets, self._forwarder, window, affinity_cookie=cookie)
            self._leaving = asyncio.create_task(_logged(leaving))
        return self._leaving

    async def _drain(self) -> None:
        leaving, hurried = self._leave(), asyncio.create_task(self._hurried.wait())
        await asyncio.wait({leaving, hurried}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(_cancel(leaving), _cancel(hurried))

    def _state(self) -> dict[str, Any]:
        here = {"connections": self.sockets.open_count, "sessions": self._rooms.session_count}
        return self.health.state() | here

    def _watch_gauges(self) -> None:
        """Has what is known anyway looked up when it is asked for."""
        metrics, rooms = self.metrics, self._rooms
        metrics.sessions.set_function(lambda: rooms.session_count)
        metrics.members.set_function(lambda: rooms.member_count)
        metrics.participants.set_function(lambda: rooms.participant_count)
        metrics.slow_connections.set_function(
            lambda: sum(connection.upgraded and connection.unsent > 0 for connection in self.sockets.connections())
        )
        metrics.drain_seconds.set_function(self._drain_seconds)
        metrics.drain_clients.set_function(lambda: self.sockets.open_count if self.health.draining else 0)

    def _drain_seconds(self) -> float:
        if self._drained_since is None or not self.sockets.open_count:
            return 0
        return perf_counter() - self._drained_since

    async def _own_address(self) -> str:
        settings = self._settings
        redis = [address for address in parse_url(self._redis_url).addresses if address.port]
        return await own_address(settings.replica_address, settings.internal_host, self.internal.port, redis)

    async def _first_contact(self) -> None:
        """Waits a moment for Redis, so that nobody is refused only because we have just started."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.redis_timeout):
                await self._contacted.wait()

    async def _keep_contact(self) -> None:
        """Learns what only Redis knows, as soon as it answers, and keeps asking whether it does."""
        while True:
            try:
                await self._connection.ping()
                await self._secret.keep()
                await self._store.forget_expired()
                self.metrics.live_sessions.set(await self._store.count())
                self.health.contacted = self.health.redis_up = True
                self._contacted.set()
            except (StoreError, SessionError):
                self.health.redis_up = False
            self.metrics.redis_up.set(self.health.redis_up)
            await asyncio.sleep(_CONTACT_INTERVAL)

    async def _dispatch(self, scope: Any, receive: Any, send: Any) -> None:
        if f"{scope['path']}/".startswith(self.sockets.path):
            await self.sockets.asgi(scope, receive, send)
            return
        begin_request()
        if self.health.draining:
            send = parting(send, self._settings.affinity_cookie)
        with deadline(self._settings.redis_timeout) as limit:

            async def received() -> Any:
                message = await receive()
                if not message.get("more_body", False):
                    # For a body that comes slowly it is the client who is waited for.
                    limit.restart()
                return message

            await self._http(scope, received, send)

    async def _dispatch_internal(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == FORWARDED_PATH:
            await self._forwarded(scope, receive, send)
            return
        with deadline(self._settings.redis_timeout):
            await self._internal_http(scope, receive, send)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """Background work that ends by an error is a bug: it is said loudly."""
    try:
        await work
    except Exception as error:
        _logger.critical("background work has failed", exc_info=error)
        raise


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
