"""Passcodes: stored as hashes that take long to compute, which are computed a few at a time, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.sessions.admission import Client
from app.sessions.errors import SessionError
from app.sessions.guesses import Guesses
from app.sessions.ports import Budgets, SessionStore

__all__ = ["Passcodes"]

# 16 MiB and some 50 ms.
_COST: Final = (2**14, 8, 1)
_SALT_BYTES: Final = 16
_AT_ONCE: Final = 2
_MAX_WAITING: Final = 32
_MAX_REMEMBERED: Final = 1024
_MAX_CHANGES: Final = 10


class Passcodes:
    """Hashes passcodes and compares them."""

    def __init__(self, store: SessionStore, budgets: Budgets) -> None:
        self._store = store
        self._budgets = budgets
        self._guesses = Guesses(budgets)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        # Of hashes of which the passcode was seen: its HMAC under a key of this process.
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._key = secrets.token_bytes(32)

    async def hashed(self, passcode: str) -> str:
        """Return the hash to store."""
        async with self._turn():
            return await asyncio.to_thread(_hashed, passcode, secrets.token_bytes(_SALT_BYTES), *_COST)

    async def hashed_for(self, code: str, passcode: str) -> str:
        """Return the hash to store in an existing session; raise ``too-many-requests`` if that is changed too often."""
        used = await self._budgets.add_passcode(code)
        if used.times > _MAX_CHANGES:
            raise SessionError("too-many-requests", retry_after=used.seconds_left)
        return await self.hashed(passcode)

    async def proved(self, code: str, passcode: str, client: Client) -> str | None:
        """Return the stored hash that ``passcode`` belongs to, None if the session has none.

        Raises ``passcode-wrong``, and ``too-many-requests`` after too many wrong ones.
        """
        async with self._guesses.counted(client, code):
            stored = await self._store.passcode(code)
            if stored is not None and not await self._is_right(passcode, stored):
                raise SessionError("passcode-wrong")
            return stored

    async def _is_right(self, passcode: str, stored: str) -> bool:
        mark = hmac.digest(self._key, passcode.encode(), hashlib.sha256)
        if stored not in self._known:
            async with self._turn():
                # Meanwhile somebody else may have known it.
                if stored not in self._known and not await asyncio.to_thread(_belongs, passcode, stored):
                    return False
            self._known.setdefault(stored, mark)
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        return hmac.compare_digest(self._known.get(stored, b""), mark)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._turns.locked() and self._waiting >= _MAX_WAITING:
            raise SessionError("unavailable")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def _hashed(passcode: str, salt: bytes, n: int, r: int, p: int) -> str:
    key = hashlib.scrypt(passcode.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    return f"scrypt {n} {r} {p} {b64encode(salt).decode()} {b64encode(key).decode()}"


def _belongs(passcode: str, stored: str) -> bool:
    _, n, r, p, salt, _ = stored.split(" ")
    return hmac.compare_digest(_hashed(passcode, b64decode(salt), int(n), int(r), int(p)), stored)
