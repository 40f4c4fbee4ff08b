"""Reads sessions from Redis, with one call for those that are wanted at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from app.background import Background
from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError, reading_reply
from app.redis_client.observer import Operation
from app.redis_client.reply import Reply, integer, mapping
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.store.batches import succeeded
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.session_hash import StoredSession

__all__ = ["READING", "SessionReads"]

READING: Final = Operation("PIPELINE", size=2)
"""The commands by which one session is read."""

Wanted = asyncio.Future[StoredSession | None]

_logger = logging.getLogger(__name__)


class SessionReads:
    """Reads of sessions. They raise ``SessionError`` if Redis is unavailable, and return None without a session."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._wanted: dict[str, list[Wanted]] = {}
        self._background = Background("reads", _logger)

    async def close(self) -> None:
        await self._background.close()

    async def alone(self, code: str) -> StoredSession | None:
        """Read a session by the deadline and within the span of the caller."""
        return _stored(code, *await self._client.batch(self._commands(code)))

    def together(self, code: str) -> Wanted:
        """Read a session with all others that are wanted in this turn of the event loop.

        Their commands are one call, of which the time-out is that of the client.
        """
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._begin)
        future: Wanted = loop.create_future()
        self._wanted.setdefault(code, []).append(future)
        return future

    def _begin(self) -> None:
        wanted, self._wanted = self._wanted, {}
        self._background.start(self._read(wanted))

    async def _read(self, wanted: dict[str, list[Wanted]]) -> None:
        try:
            commands = [command for code in wanted for command in self._commands(code)]
            replies = iter(await self._client.batch(commands))
            for code, futures in wanted.items():
                _settle(futures, code, next(replies), next(replies))
        except Exception:
            for futures in wanted.values():
                _fail(futures, SessionError("internal-error"))
            raise
        finally:
            # Some are left only if the replica stops.
            for futures in wanted.values():
                for future in futures:
                    future.cancel()

    def _commands(self, code: str) -> tuple[tuple[str, str], tuple[str, str]]:
        key = self._keys.session(code)
        return ("HGETALL", key), ("PEXPIRETIME", key)


def _settle(futures: Iterable[Wanted], code: str, *replies: Reply | StoreError) -> None:
    """Give the outcome of a read to everybody who waits for it."""
    try:
        stored = _stored(code, *replies)
    except SessionError as error:
        _fail(futures, error)
        return
    for future in futures:
        if not future.done():
            future.set_result(stored)


def _fail(futures: Iterable[Wanted], error: SessionError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _stored(code: str, *replies: Reply | StoreError) -> StoredSession | None:
    with client_errors(changing=False), reading_reply():
        fields, expires_at = succeeded(replies)
        found, expiry = mapping(fields), integer(expires_at)
        if not found or expiry <= 0:
            return None
        return StoredSession(code, found, expiry, Head(found[b"epoch"].decode(), int(found[b"version"])))
