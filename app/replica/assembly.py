"""The parts of a replica that follow from the settings alone."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Collection
from typing import Any

from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from app.forwarding.sender import Forwarder, session_id
from app.http.addresses import ClientAddresses, subscriber
from app.http.port import PortLimits
from app.observability.metrics import Metrics
from app.observability.tracing import Tracing
from app.realtime.counting import EngineMetrics
from app.realtime.handlers import CLIENT
from app.redis_client.client import RedisClient
from app.redis_client.metrics import CommandMetrics
from app.redis_client.observer import Observer
from app.redis_client.tracing import CommandSpans
from app.sessions.rules import Rules
from app.settings import Settings
from app.socketio_server import Admission, SocketServer
from app.store.sessions import RedisSessions

__all__ = [
    "bytes_of",
    "forwarding_admission",
    "port_limits",
    "redis_connection",
    "session_rules",
    "session_store",
    "shown_limits",
    "socket_server",
    "text_of",
]


def redis_connection(redis_url: str, settings: Settings, metrics: Metrics, tracing: Tracing | None) -> RedisClient:
    spans = [CommandSpans(tracing)] if tracing else []
    observers: list[Observer] = [*spans, CommandMetrics(metrics)]
    return RedisClient.connect(redis_url, timeout=settings.redis_timeout, observers=observers)


def session_store(connection: RedisClient, settings: Settings, tracing: Tracing | None) -> RedisSessions:
    return RedisSessions(connection, creation_memory=settings.lifetime, quarantine=settings.code_rest, tracing=tracing)


def socket_server(
    settings: Settings, addresses: ClientAddresses, metrics: Metrics, replica: str, forwarder: Forwarder
) -> SocketServer:
    return SocketServer(
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        connect_timeout=settings.connect_timeout,
        max_payload=settings.movies_body_limit,
        allowed_origins="*" if "*" in settings.allowed_origins else settings.allowed_origins,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        unlimited=addresses.is_unlimited,
        events_per_second=settings.events_per_second,
        burst=settings.events_burst,
        write_timeout=settings.write_timeout,
        address=addresses.address,
        remember=lambda scope: {CLIENT: addresses.client(scope)},
        counted_as=subscriber,
        new_id=lambda: session_id(replica),
        foreign_session=forwarder,
        observer=EngineMetrics(metrics),
        logger=logging.getLogger("app.socketio_server"),
    )


def forwarding_admission(settings: Settings, addresses: ClientAddresses) -> Admission:
    """What may be under way to other replicas: a poll and a POST, or a WebSocket, for each connection there may be."""
    return Admission(
        max_connections=2 * settings.max_connections,
        max_connections_per_address=2 * settings.max_connections_per_address,
        unlimited=addresses.is_unlimited,
        counted_as=subscriber,
    )


def port_limits(
    settings: Settings, websocket_path: str, exempt: Callable[[str], bool], served_when_full: Collection[str] = ()
) -> PortLimits:
    """The limits of one port; a quarter of the process's file descriptors is left for everything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.max_tcp_connections
    return PortLimits(
        websocket_path=websocket_path,
        served_when_full=served_when_full,
        max_connections=most if descriptors == resource.RLIM_INFINITY else min(most, descriptors * 3 // 4),
        max_connections_per_address=settings.max_tcp_connections_per_address,
        exempt=exempt,
        write_timeout=settings.write_timeout,
        max_unread=settings.max_unread_bytes,
    )


def shown_limits(settings: Settings) -> dict[str, Any]:
    """What operators are shown as limits, in the terms of the settings."""
    names = ("capacity", "max_capacity", "max_movies", "max_sessions", "max_connections")
    budgets = (
        "max_connections_per_address",
        "miss_budget",
        "miss_budget_total",
        "create_budget",
        "max_sessions_per_address",
    )
    return {to_camel(name): getattr(settings, name) for name in (*names, *budgets)}


def session_rules(settings: Settings) -> Rules:
    return Rules(**{name: getattr(settings, name) for name in Rules.__dataclass_fields__})


def text_of(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def bytes_of(secret: SecretStr | None) -> bytes | None:
    return None if secret is None else secret.get_secret_value().encode()
