"""Assembles the parts of a replica, each from the settings and the parts before it, without starting anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import SecretStr

from app.forwarding.directory import ReplicaDirectory
from app.forwarding.receiver import ForwardingReceiver
from app.forwarding.sender import PATH as FORWARDED_PATH
from app.forwarding.sender import Forwarder
from app.forwarding.signature import RequestSigner
from app.http.addresses import ClientAddresses
from app.http.app import create_app
from app.http.bucket_cookie import BucketCookie
from app.http.capped import Application, CappedRequests, RequestCap
from app.http.counting import RequestCounts, count_requests
from app.http.health import Health
from app.http.internal import PROBES, create_internal_app
from app.http.lane import JoinLane
from app.http.operators import OperatorsAPI, ReplicaControls
from app.http.sessions import BodyLimits
from app.http.tracing import RequestSpans, TracedRequests
from app.observability.losses import Losses
from app.observability.metrics import Metrics
from app.observability.tracing import Tracing
from app.realtime.handlers import SocketHandlers
from app.realtime.membership import Membership
from app.realtime.presence import Presence
from app.realtime.rooms import Rooms
from app.realtime.subscriptions import Subscriptions
from app.realtime.telemetry import Telemetry
from app.redis_client.client import RedisClient
from app.redis_client.metrics import CommandMetrics
from app.redis_client.observer import Observer
from app.redis_client.tracing import CommandSpans
from app.replica.applications import InternalApplication, PublicApplication
from app.replica.caps import Caps
from app.replica.drain import Drain
from app.replica.from_settings import (
    forwarding_limits,
    page_settings,
    port_limits,
    session_rules,
    shown_limits,
    socket_server,
    unread_timeout,
)
from app.replica.headers import drain_headers
from app.replica.listener import Listener
from app.replica.overload import Overload
from app.secret_files import listed, secret_now
from app.sessions.administration import Administration
from app.sessions.codes import CodeSpace
from app.sessions.guard import KeyGuard
from app.sessions.ids import random_id
from app.sessions.service import SessionService
from app.sessions.tokens import TokenSigner
from app.settings import Settings
from app.socketio_server import SocketServer
from app.store.announcements import Announcements
from app.store.budgets import RedisBudgets
from app.store.creators import RedisCreators
from app.store.data_marker import DataMarker
from app.store.due import DueList
from app.store.keys import Keys
from app.store.listing import RedisListing
from app.store.outboxes import Outboxes
from app.store.recoveries import RedisRecoveries
from app.store.replicas import RedisReplicas
from app.store.secret import StoredSecret
from app.store.secret_list import ListedSecrets
from app.store.sessions import RedisSessions
from app.webhooks.sender import WebhookSender

__all__ = [
    "RedisPart",
    "SessionsPart",
    "SocketsPart",
    "assemble_http",
    "assemble_internal",
    "assemble_redis",
    "assemble_sessions",
    "assemble_sockets",
]

# Longer than any request takes: they are answered within two seconds, also without Redis.
_PUBLIC_TIMEOUT_SECONDS: Final = 3
_INTERNAL_TIMEOUT_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class RedisPart:
    """The connection to Redis and the data there."""

    client: RedisClient
    secret: StoredSecret | ListedSecrets
    marker: DataMarker
    sessions: RedisSessions
    announcements: Announcements
    budgets: RedisBudgets
    creators: RedisCreators
    listing: RedisListing
    recoveries: RedisRecoveries
    replicas: RedisReplicas
    live: DueList
    webhooks: WebhookSender | None


@dataclass(frozen=True, slots=True)
class SessionsPart:
    """The use cases."""

    service: SessionService
    administration: Administration


@dataclass(frozen=True, slots=True)
class SocketsPart:
    """The Socket.IO server, and the forwarding of requests in both directions."""

    server: SocketServer
    rooms: Rooms
    presence: Presence
    directory: ReplicaDirectory
    forwarder: Forwarder
    forwarded: ForwardingReceiver


def assemble_redis(
    settings: Settings, url: str, replica_id: str, metrics: Metrics, tracing: Tracing | None
) -> RedisPart:
    spans = [CommandSpans(tracing)] if tracing else []
    observers: list[Observer] = [*spans, CommandMetrics(metrics)]
    client = RedisClient.connect(
        url,
        read_again=partial(secret_now, "redis_url", settings.redis_url_file, settings.redis_url),
        timeout=settings.redis_timeout,
        observers=observers,
    )
    keys = Keys(settings.key_prefix)
    replicas = RedisReplicas(client, keys, replica_id, lease=settings.lease)
    secret: StoredSecret | ListedSecrets = StoredSecret(client, keys)
    if settings.secret is not None:
        secret = ListedSecrets(replicas, partial(_listed_secrets, settings), delay=settings.lease)
    outboxes = None
    if settings.webhook_url is not None:
        outboxes = Outboxes(
            client,
            keys,
            metrics,
            kept=settings.webhook_retention,
            max_events=settings.webhook_max_events,
            max_bytes=settings.webhook_max_bytes,
            clock=replicas.now,
        )
    return RedisPart(
        client=client,
        secret=secret,
        marker=DataMarker(client, keys),
        sessions=RedisSessions(
            client,
            keys,
            quarantine=settings.code_rest,
            max_listed=settings.listed_participants,
            clock=replicas.now,
            tracing=tracing,
            outboxes=outboxes,
        ),
        announcements=Announcements(client, keys, timeout=settings.redis_timeout, metrics=metrics),
        budgets=RedisBudgets(client, keys, secret, secret.others),
        creators=RedisCreators(client, keys, secret, longest=settings.max_lifetime, plan_memory=settings.lifetime),
        listing=RedisListing(client, keys),
        recoveries=RedisRecoveries(client, keys, quarantine=settings.code_rest),
        replicas=replicas,
        live=DueList(client, keys.sessions),
        webhooks=None if outboxes is None else _webhooks(settings, outboxes, metrics),
    )


def assemble_sessions(settings: Settings, redis: RedisPart) -> SessionsPart:
    codes = CodeSpace(settings.code_characters, settings.code_length)
    rules = session_rules(settings)
    service = SessionService(
        redis.sessions,
        redis.budgets,
        redis.creators,
        codes,
        TokenSigner(redis.secret, redis.secret.others),
        rules,
        new_id=random_id,
        renewed_at=redis.replicas.renewed_at,
    )
    return SessionsPart(service, Administration(redis.sessions, redis.listing, redis.budgets, codes, rules))


def assemble_sockets(
    settings: Settings,
    overload: Overload,
    replica_id: str,
    addresses: ClientAddresses,
    redis: RedisPart,
    sessions: SessionsPart,
    bucket_cookie: BucketCookie | None,
    metrics: Metrics,
    losses: Losses,
    tracing: Tracing | None,
) -> SocketsPart:
    signer = RequestSigner(redis.secret, redis.replicas.now, redis.secret.others)
    directory = ReplicaDirectory(redis.replicas, replica_id, memory=settings.lease / 2)
    forwarder = Forwarder(
        replica_id,
        directory,
        signer,
        client=addresses.address,
        limits=forwarding_limits(settings, overload.caps, addresses),
        timeout=settings.ping_interval + settings.ping_timeout,
        count=lambda result: metrics.forwarded.labels(result).inc(),
    )
    server = socket_server(settings, overload, bucket_cookie, addresses, metrics, replica_id, forwarder)
    telemetry = Telemetry(metrics, losses, redis.replicas.now, tracing)
    presence = Presence(redis.replicas, redis.sessions, sessions.service, lease=settings.lease, grace=settings.grace)
    rooms = Rooms(
        sessions.service,
        redis.sessions,
        Subscriptions(redis.announcements, redis.replicas),
        redis.recoveries,
        server,
        telemetry,
        is_heard=redis.announcements.is_heard,
        on_loss=presence.schedule_sweep_after_loss,
        on_disconnected=presence.disconnected_while_attaching,
        expiry_warning=settings.expiry_warning,
    )
    redis.announcements.listen(rooms)
    presence.look_after(rooms)
    membership = Membership(sessions.service, redis.sessions, rooms, presence, redis.recoveries, server, telemetry)
    SocketHandlers(
        server,
        sessions.service,
        rooms,
        membership,
        telemetry,
        replica=replica_id,
        redis_timeout=settings.redis_timeout,
        join_deadline=settings.join_deadline,
    ).register()
    forwarded = ForwardingReceiver(replica_id, signer, server.asgi, server.path)
    return SocketsPart(server, rooms, presence, directory, forwarder, forwarded)


def assemble_http(
    settings: Settings,
    caps: Caps,
    addresses: ClientAddresses,
    redis: RedisPart,
    sessions: SessionsPart,
    sockets: SocketsPart,
    health: Health,
    bucket_cookie: BucketCookie | None,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Listener:
    """Return the public port."""
    key = _text_of(settings.create_key)
    limits = BodyLimits(settings.body_limit, settings.movies_body_limit)
    counts = RequestCounts(metrics)
    spans = RequestSpans(tracing) if tracing else None
    cap = RequestCap(addresses, settings.max_tcp_connections_per_address) if settings.trusted_proxies else None
    http = create_app(
        sessions.service,
        addresses,
        limits,
        creation_guard=None if key is None else KeyGuard(key, redis.budgets),
        bucket_cookie=bucket_cookie,
        allowed_origins=settings.allowed_origins,
        compression=settings.compression,
        page=page_settings(settings),
    )
    count_requests(http, counts)
    application: Application = PublicApplication(
        TracedRequests(http, spans) if spans else http,
        sockets.server,
        health,
        redis_timeout=settings.redis_timeout,
        affinity_cookie=settings.affinity_cookie,
    )
    lane = JoinLane(
        sessions.service,
        addresses,
        counts,
        health,
        body_limit=limits.body,
        redis_timeout=settings.redis_timeout,
        allowed_origins=settings.allowed_origins,
        drain_headers=drain_headers(settings.affinity_cookie),
        bucket_cookie=bucket_cookie,
        compression=settings.compression,
        cap=cap,
        spans=spans,
    )
    return Listener(
        CappedRequests(application, cap) if cap else application,
        settings.host,
        settings.port,
        limits=port_limits(settings, caps, sockets.server.path, addresses.is_exempt),
        max_message=settings.movies_body_limit,
        timeout=_PUBLIC_TIMEOUT_SECONDS,
        unread_timeout=unread_timeout(settings),
        take_over=sockets.server.take_over if settings.direct_websockets else None,
        lane=lane if settings.direct_joins else None,
    )


def assemble_internal(
    settings: Settings,
    caps: Caps,
    replica_id: str,
    addresses: ClientAddresses,
    redis: RedisPart,
    sessions: SessionsPart,
    sockets: SocketsPart,
    health: Health,
    drain: Drain,
    metrics: Metrics,
) -> Listener:
    """Return the internal port."""
    http = create_internal_app(health, metrics.registry)
    if token := _text_of(settings.operator_token):
        # No proxy is in front of the internal port, so no proxy is trusted.
        direct = ClientAddresses((), settings.unlimited_addresses)

        def state() -> dict[str, object]:
            counts = {"connections": sockets.server.open_count, "sessions": sockets.rooms.session_count}
            return {**health.state(), **counts}

        controls = ReplicaControls(replica_id, state, shown_limits(settings, caps), redis.replicas.living, drain.begin)
        operators = OperatorsAPI(sessions.administration, controls, KeyGuard(token, redis.budgets), direct)
        http.register_blueprint(operators.blueprint())

    def is_exempt(address: str) -> bool:
        return addresses.is_exempt(address) or sockets.directory.is_host(address)

    return Listener(
        InternalApplication(http, sockets.forwarded, redis_timeout=settings.redis_timeout),
        settings.internal_host,
        settings.internal_port,
        limits=port_limits(settings, caps, FORWARDED_PATH, is_exempt, PROBES),
        max_message=settings.movies_body_limit,
        timeout=_INTERNAL_TIMEOUT_SECONDS,
        unread_timeout=unread_timeout(settings),
    )


def _text_of(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _webhooks(settings: Settings, outboxes: Outboxes, metrics: Metrics) -> WebhookSender:
    def secrets() -> tuple[str, ...]:
        return listed(secret_now("webhook_secret", settings.webhook_secret_file, settings.webhook_secret) or "")

    url = settings.webhook_url or ""
    return WebhookSender(outboxes, url, secrets, metrics, longest_pause=settings.webhook_max_pause)


def _listed_secrets(settings: Settings) -> list[bytes]:
    text = secret_now("secret", settings.secret_file, settings.secret) or ""
    return [secret.encode() for secret in listed(text)]
