"""The deployment's secret, kept in Redis where no setting gives one."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Final

from app.redis_client.client import RedisClient
from app.sessions.errors import SessionError
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["DeploymentSecret"]

_FORMER: Final = 3

_logger = logging.getLogger(__name__)


class DeploymentSecret:
    """One secret for all replicas: the one given, or the one that Redis has, where the first replica put it.

    A Redis that has lost it gets it back. Where another replica was faster with one of its own, all sign with that, and
    those that knew an earlier one still take what was signed with it.
    """

    def __init__(self, client: RedisClient, keys: Keys, given: bytes | None) -> None:
        self._client = client
        self._keys = keys
        self._is_given = given is not None
        self._secret = given
        self._former: tuple[bytes, ...] = ()

    def __call__(self) -> bytes:
        """The secret to sign with; raises ``unavailable`` before it is known."""
        if self._secret is None:
            raise SessionError("unavailable")
        return self._secret

    def former(self) -> Sequence[bytes]:
        """Secrets that this replica has signed with before, the newest first."""
        return self._former

    async def keep(self) -> None:
        """Learns the secret from Redis, or puts it there; raises ``SessionError`` while Redis is unavailable."""
        if self._is_given:
            return
        with client_errors(changing=True):
            # A full Redis can still be read.
            found = await self._client.execute("GET", self._keys.secret)
            if found is None:
                ours = self._secret or secrets.token_hex(32).encode()
                found = await self._client.execute("SET", self._keys.secret, ours, "NX", "GET") or ours
        if found != self._secret:
            self._adopt(found)

    def _adopt(self, found: bytes) -> None:
        if self._secret is not None:
            _logger.warning("Redis has another secret than before; what was signed with the earlier one is still taken")
            kept = (secret for secret in (self._secret, *self._former) if secret != found)
            self._former = tuple(kept)[:_FORMER]
        self._secret = found
