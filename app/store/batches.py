"""Batches of commands that all have to succeed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError
from app.redis_client.reply import Reply

__all__ = ["run_batch"]


async def run_batch(client: RedisClient, commands: Iterable[Sequence[str | int]]) -> list[Reply]:
    """Run independent commands at once and return their replies in order; raise the first error."""
    replies: list[Reply] = []
    for reply in await client.batch(commands):
        if isinstance(reply, StoreError):
            raise reply
        replies.append(reply)
    return replies
