"""Batches of commands that all have to succeed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError
from app.redis_client.reply import Reply

__all__ = ["run_batch", "succeeded"]


async def run_batch(client: RedisClient, commands: Iterable[Sequence[str | int]]) -> list[Reply]:
    """Run independent commands at once and return their replies in order; raise the first error."""
    return succeeded(await client.batch(commands))


def succeeded(replies: Iterable[Reply | StoreError]) -> list[Reply]:
    """Return the replies of a batch; raise the first error."""
    found: list[Reply] = []
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
        found.append(reply)
    return found
