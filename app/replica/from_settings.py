"""Values derived from the settings: limits, rules and the options of the Socket.IO server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from app.forwarding.sender import Forwarder, new_engine_sid
from app.http.addresses import ClientAddresses, subscriber
from app.http.bucket_cookie import BucketCookie
from app.http.port import PortLimits
from app.http.web import PageSettings
from app.observability.metrics import Metrics
from app.origins import AllowedOrigins
from app.realtime.engine_metrics import EngineMetrics
from app.realtime.handlers import CLIENT
from app.replica.caps import Caps
from app.replica.headers import cookie_headers, encoded
from app.replica.overload import Overload
from app.sessions.rules import Rules
from app.settings import Settings
from app.socketio_server import ConnectionLimits, Options, Origins, RequestHooks, SocketServer

__all__ = [
    "bucket_cookie",
    "forwarding_limits",
    "page_settings",
    "port_limits",
    "session_rules",
    "shown_limits",
    "socket_server",
]


def socket_server(
    settings: Settings,
    overload: Overload,
    bucket: BucketCookie | None,
    addresses: ClientAddresses,
    metrics: Metrics,
    replica: str,
    forwarder: Forwarder,
) -> SocketServer:
    return SocketServer(
        Options(
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            connect_timeout=settings.connect_timeout,
            max_payload=settings.movies_body_limit,
            write_timeout=settings.write_timeout,
            events_per_second=settings.events_per_second,
            burst=settings.events_burst,
            compression=settings.compression,
        ),
        origins=Origins(AllowedOrigins(settings.allowed_origins)),
        limits=ConnectionLimits(
            max_connections=overload.caps.connections,
            max_connections_per_address=settings.max_connections_per_address,
            unlimited=addresses.is_unlimited,
            counted_as=subscriber,
            gates=overload.gates,
            elsewhere=encoded(cookie_headers(settings.affinity_cookie, bucket)),
        ),
        hooks=RequestHooks(
            address=addresses.address,
            remember=lambda scope: {CLIENT: addresses.client(scope)},
            new_id=lambda: new_engine_sid(replica),
            foreign_session=forwarder,
        ),
        observer=EngineMetrics(metrics),
        logger=logging.getLogger("app.socketio_server"),
    )


def bucket_cookie(settings: Settings, secret: Callable[[], bytes]) -> BucketCookie | None:
    """Return the cookie with the bucket of a session, None if it is off."""
    if settings.affinity_bucket_cookie is None:
        return None
    return BucketCookie(
        settings.affinity_bucket_cookie,
        secret,
        same_site=settings.affinity_bucket_same_site,
        secure=settings.affinity_bucket_secure,
    )


def page_settings(settings: Settings) -> PageSettings | None:
    """Return what the demo page is told, None if it is off."""
    if not settings.demo:
        return None
    return PageSettings(
        digits=settings.code_characters.isdigit(),
        code_length=settings.code_length,
        image_hosts=settings.image_hosts,
    )


def forwarding_limits(settings: Settings, caps: Caps, addresses: ClientAddresses) -> ConnectionLimits:
    """Return the limits of forwarded requests: a poll and a POST, or a WebSocket, for each connection."""
    return ConnectionLimits(
        max_connections=2 * caps.connections,
        max_connections_per_address=2 * settings.max_connections_per_address,
        unlimited=addresses.is_unlimited,
        counted_as=subscriber,
    )


def port_limits(
    settings: Settings,
    caps: Caps,
    websocket_path: str,
    exempt: Callable[[str], bool],
    served_when_full: Collection[str] = (),
) -> PortLimits:
    """Return the limits of one port."""
    return PortLimits(
        websocket_path=websocket_path,
        served_when_full=served_when_full,
        max_connections=caps.tcp_connections,
        max_connections_per_address=settings.max_tcp_connections_per_address,
        exempt=exempt,
        write_timeout=settings.write_timeout,
        max_unread=settings.max_unread_bytes,
    )


def shown_limits(settings: Settings, caps: Caps) -> dict[str, int]:
    """Return the limits shown by the operators' API, named after the settings."""
    return {
        "capacity": settings.capacity,
        "maxCapacity": settings.max_capacity,
        "maxMovies": settings.max_movies,
        "maxSessions": settings.max_sessions,
        "maxConnections": caps.connections,
        "maxConnectionsPerAddress": settings.max_connections_per_address,
        "missBudget": settings.miss_budget,
        "missBudgetTotal": settings.miss_budget_total,
        "createBudget": settings.create_budget,
        "maxSessionsPerAddress": settings.max_sessions_per_address,
    }


def session_rules(settings: Settings) -> Rules:
    return Rules(
        lifetime=settings.lifetime,
        min_lifetime=settings.min_lifetime,
        max_lifetime=settings.max_lifetime,
        unjoined_lifetime=settings.unjoined_lifetime,
        code_rest=settings.code_rest,
        capacity=settings.capacity,
        max_capacity=settings.max_capacity,
        max_movies=settings.max_movies,
        max_movies_bytes=settings.max_movies_bytes,
        grace=settings.grace,
        leaver_ratings=settings.leaver_ratings,
        decide_delay=settings.decide_delay,
        second_connection=settings.second_connection,
        miss_budget=settings.miss_budget,
        miss_budget_total=settings.miss_budget_total,
        create_budget=settings.create_budget,
        max_sessions=settings.max_sessions,
        max_sessions_per_address=settings.max_sessions_per_address,
    )


def unread_timeout(settings: Settings) -> float:
    """Return the seconds that a client may take to read, or to come back into a network; heartbeats allow as much."""
    return max(settings.write_timeout, settings.ping_interval + settings.ping_timeout)
