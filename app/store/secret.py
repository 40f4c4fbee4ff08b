"""The deployment's secret, if none is configured: a random one, which is stored in Redis."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Final

from app.redis_client.client import RedisClient
from app.sessions.errors import SessionError
from app.store.agreed import agreed_value
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["StoredSecret"]

_FORMER: Final = 3

_logger = logging.getLogger(__name__)


class StoredSecret:
    """The secret that the first replica stored in Redis.

    If Redis has lost the secret, a replica stores its own again. If another replica was faster with a new one, all
    replicas sign with that one, and those that know the earlier one still accept its signatures.
    """

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._secret: bytes | None = None
        self._former: tuple[bytes, ...] = ()

    def __call__(self) -> bytes:
        """Return the secret for signing; raises ``unavailable`` while it is unknown."""
        if self._secret is None:
            raise SessionError("unavailable")
        return self._secret

    def others(self) -> Sequence[bytes]:
        """Return the earlier secrets that this replica knows, whose signatures are valid as well, newest first."""
        return self._former

    def announced(self) -> str:
        """Return the ids of listed secrets, of which there are none."""
        return ""

    async def keep(self) -> None:
        """Read the secret from Redis, or store it there; raises ``SessionError`` while Redis is unavailable."""
        with client_errors(changing=True):
            ours = self._secret or secrets.token_hex(32).encode()
            found = await agreed_value(self._client, self._keys.secret, ours)
        if found != self._secret:
            self._adopt(found)

    def _adopt(self, found: bytes) -> None:
        if self._secret is not None:
            _logger.warning("Redis has another secret than before; what was signed with the earlier one is still taken")
            kept = (secret for secret in (self._secret, *self._former) if secret != found)
            self._former = tuple(kept)[:_FORMER]
        self._secret = found
