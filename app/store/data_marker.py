"""A key in Redis by which a replica notices that Redis has lost all data."""

from __future__ import annotations

import secrets

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import data
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

        A replica stores a lost value again. Replicas that have not missed it by then do not report the loss.
        """
        with client_errors(changing=True):
            # Read first: that works also if Redis is full.
            stored = await self._client.execute("GET", self._key)
            is_missing = stored is None
            if is_missing:
                ours = self._known or secrets.token_hex(8).encode()
                stored = await self._client.execute("SET", self._key, ours, "NX", "GET") or ours
            with reading_reply():
                found = data(stored)
        before, self._known = self._known, found
        return before is not None and (is_missing or found != before)
