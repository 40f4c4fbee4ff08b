"""Decides who may open a connection: allowed origins, limits and drain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from app.origins import AllowedOrigins
from app.socketio_server import refusals
from app.socketio_server.interfaces import Scope
from app.socketio_server.refusals import Headers, Refusal

__all__ = ["ConnectionLimits", "Gate", "Origins", "header", "peer_address"]

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
# Seconds that clients are asked to wait, at most, when there are as many connections as there may be.
_MAX_WAIT_SECONDS: Final = 30


class Origins:
    """Checks ``Origin`` headers and returns the CORS headers of responses.

    The same origin is always allowed: its host equals the ``Host`` header. The scheme is not compared, because it
    differs behind an ingress that ends TLS. ``X-Forwarded-Host`` is ignored, because any client can send it.
    ``allowed`` are further origins. A request without an origin does not come from a web page and is allowed.

    Responses to the same origin need no CORS headers and get none.
    """

    def __init__(self, allowed: AllowedOrigins | None = None) -> None:
        self._allowed = allowed or AllowedOrigins()

    def check(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the CORS headers for an answer; raise ``Refusal`` (403) for an origin that is not allowed."""
        origin = header(scope, b"origin")
        if origin is None:
            return []
        if self._allowed.any:
            return [(b"access-control-allow-origin", b"*")]
        if origin in self._allowed:
            return [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
                (b"vary", b"Origin"),
            ]
        if _host_of(origin) == _host(scope, origin):
            return []
        raise Refusal("origin", 4, "Forbidden", status=403)


class Gate(Protocol):
    """A reason for which a server takes no more connections for a while.

    ``reason``: a word for metrics. ``longest_wait``: the seconds that clients are asked to wait, at most.
    ``lasts``: whether another server is better meanwhile.
    """

    @property
    def reason(self) -> str: ...
    @property
    def longest_wait(self) -> int: ...
    @property
    def lasts(self) -> bool: ...
    def refuses(self, opened: int) -> bool:
        """Return whether another connection is refused, besides ``opened`` ones; if not, count it."""


class ConnectionLimits:
    """Counts open connections and refuses new ones over a limit or during a drain; None disables a limit.

    ``unlimited``: returns whether an address is exempt. ``counted_as``: returns the key under which an address is
    counted, the same for all addresses of a subscriber. ``gates`` are asked last, in order. ``elsewhere``: headers of
    refusals for which another server may be better.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        max_connections_per_address: int | None = None,
        unlimited: Callable[[str], bool] = lambda _address: False,
        counted_as: Callable[[str], str] = str,
        gates: Sequence[Gate] = (),
        elsewhere: Headers = (),
    ) -> None:
        self._max = max_connections
        self._max_per_address = max_connections_per_address
        self._unlimited = unlimited
        self._counted_as = counted_as
        self._gates = gates
        self._elsewhere = elsewhere
        self._addresses: Counter[str] = Counter()
        self._stopped: Callable[[], Refusal] | None = None
        self.open = 0

    def stop(self, status: int, headers: Headers) -> None:
        """Refuse all new connections from now on."""
        self._stopped = partial(Refusal, "draining", 3, "Try another replica", status=status, headers=headers)

    def enter(self, address: str) -> None:
        """Count a new session; raise ``Refusal`` (503 or 429) over a limit."""
        if self._stopped is not None:
            raise self._stopped()
        key = self._counted_as(address)
        if not self._unlimited(address):
            if self._max is not None and self.open >= self._max:
                raise refusals.overloaded("too many connections", _MAX_WAIT_SECONDS, self._elsewhere)
            if self._max_per_address is not None and self._addresses[key] >= self._max_per_address:
                raise refusals.too_many_of_one()
            for gate in self._gates:
                if gate.refuses(self.open):
                    headers = self._elsewhere if gate.lasts else ()
                    raise refusals.overloaded(gate.reason, gate.longest_wait, headers)
        self.open += 1
        self._addresses[key] += 1

    def leave(self, address: str) -> None:
        """Uncount a session."""
        self.open -= 1
        key = self._counted_as(address)
        self._addresses[key] -= 1
        if not self._addresses[key]:
            del self._addresses[key]


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header, with repeated ones joined by commas, or None."""
    values: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return b",".join(values).decode("latin-1") if values else None


def peer_address(scope: Scope) -> str:
    """Return the address of the other end of the TCP connection, ``""`` for a Unix socket."""
    client: Any = scope.get("client")
    return client[0] if client else ""


def _host_of(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, "")) or None


def _host(scope: Scope, origin: str) -> str:
    host = (header(scope, b"host") or "").lower()
    return host.removesuffix(_DEFAULT_PORTS.get(origin.partition(":")[0], ""))
