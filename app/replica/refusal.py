"""Whether Redis refuses this replica although it accepts another one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Final

import orjson

from app.http.health import Health
from app.http_client import request

__all__ = ["RedisRefusal"]

_TIMEOUT_SECONDS: Final = 1.0


class RedisRefusal:
    """Makes this replica unready while Redis refuses it and accepts another one.

    Redis refuses a replica whose password is wrong or whose user lacks rights. While it refuses all, no replica is
    made unready: that would only replace our JSON errors by those of the ingress. ``addresses`` returns those of the
    known replicas, its own among them. ``name``: a ``host:port`` that resolves to all replicas, because a refused
    replica cannot read the addresses of those that started later. ``lease``: seconds for which Redis must have refused.
    """

    def __init__(
        self, health: Health, addresses: Callable[[], Iterable[str]], *, name: str | None, lease: float
    ) -> None:
        self._health = health
        self._addresses = addresses
        self._name = name
        self._lease = lease
        self._since: float | None = None
        self._ask_at = 0.0

    async def update(self, *, is_refused: bool) -> None:
        """Update the state of this replica; ``is_refused``: Redis has just refused it."""
        if not is_refused:
            self._since = None
            self._health.refused = False
            return
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if now - self._since >= self._lease and now >= self._ask_at:
            self._ask_at = now + self._lease / 3
            self._health.refused = await self._is_another_accepted()

    async def _is_another_accepted(self) -> bool:
        others = {*self._addresses(), *await self._resolved()}
        return any(await asyncio.gather(*(_is_accepted(other) for other in others)))

    async def _resolved(self) -> list[str]:
        if self._name is None:
            return []
        host, _, port = self._name.rpartition(":")
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return [f"[{target[0]}]:{port}" if ":" in str(target[0]) else f"{target[0]}:{port}" for *_, target in found]


async def _is_accepted(address: str) -> bool:
    """Return whether Redis answers the replica with this address of its internal port."""
    try:
        response = await request("GET", f"http://{address}/readyz", timeout=_TIMEOUT_SECONDS)
        return bool(orjson.loads(response.body)["redis"] == "up")
    except (ConnectionError, ValueError, LookupError, TypeError):
        return False
