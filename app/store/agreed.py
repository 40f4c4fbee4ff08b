"""A value that replicas agree on: the first one that needs it stores it in Redis."""

from __future__ import annotations

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import data

__all__ = ["agreed_value"]


async def agreed_value(client: RedisClient, key: str, ours: bytes) -> bytes:
    """Return the value of a key; ``ours``, which is stored, if there is none. Raises ``StoreError``."""
    # Read first: that works also if Redis is full.
    stored = await client.execute("GET", key)
    if stored is None:
        stored = await client.execute("SET", key, ours, "NX", "GET") or ours
    with reading_reply():
        return data(stored)
