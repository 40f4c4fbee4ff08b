"""Batches of commands that all have to succeed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError

__all__ = ["run_batch"]


async def run_batch(client: RedisClient, commands: Iterable[Sequence[str | int]]) -> list[Any]:
    """Run independent commands at once and return their replies in order; raise the first error."""
    replies = await client.batch(commands)
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
    return replies
