"""A key in Redis by which a replica notices that Redis has lost all data."""

from __future__ import annotations

import secrets

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreUnavailable
from app.store.agreed import agreed_value
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["DataMarker"]


class DataMarker:
    """A random value that the first replica stores in Redis, without an expiry."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._key = keys.marker
        self._known: bytes | None = None

    async def is_lost(self) -> bool:
        """Return whether Redis has lost all data since the last call; raises ``SessionError`` if it is unavailable.

        Whichever replica misses the value first stores another one, by which the others notice the loss, too.
        """
        with client_errors(changing=True):
            try:
                found = await agreed_value(self._client, self._key, secrets.token_hex(8).encode())
            except StoreUnavailable as error:
                if error.reason != "full":
                    raise
                # It is stored as soon as there is room.
                return False
        before, self._known = self._known, found
        return before is not None and found != before
