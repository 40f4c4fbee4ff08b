"""Keys that protect operations: the create key and the operators' token."""

from __future__ import annotations

import hmac
from typing import Final

from app.sessions.admission import Client
from app.sessions.errors import SessionError
from app.sessions.ports import Budgets

__all__ = ["KeyGuard"]

_WRONG_KEYS: Final = 10


class KeyGuard:
    """A key. An address may try ten wrong ones a minute; the right key always passes."""

    def __init__(self, key: str, budgets: Budgets) -> None:
        self._key = key.encode()
        self._budgets = budgets

    async def check(self, shown: str | None, client: Client) -> None:
        """Raise ``unauthorized`` for a wrong or missing key, ``too-many-requests`` after too many wrong ones."""
        given = (shown or "").encode()
        if hmac.compare_digest(given, self._key):
            return
        if given and not client.unlimited:
            used = await self._budgets.add_wrong_key(client.address)
            if used.times > _WRONG_KEYS:
                raise SessionError("too-many-requests", retry_after=used.seconds_left)
        raise SessionError("unauthorized")
