"""Keys that whoever wants something must show."""

from __future__ import annotations

import hmac
from typing import Final

from app.sessions.admission import Client
from app.sessions.errors import SessionError
from app.sessions.ports import Budgets

__all__ = ["KeyGuard"]

_WRONG_KEYS: Final = 10


class KeyGuard:
    """One key, at which an address may guess ten times a minute; the right one always passes."""

    def __init__(self, key: str, budgets: Budgets) -> None:
        self._key = key.encode()
        self._budgets = budgets

    async def check(self, shown: str | None, client: Client) -> None:
        """Raises ``unauthorized`` for a wrong key or none, ``too-many-requests`` for one wrong key too many."""
        given = (shown or "").encode()
        if hmac.compare_digest(given, self._key):
            return
        if given and not client.unlimited:
            used = await self._budgets.add_wrong_key(client.address)
            if used.times > _WRONG_KEYS:
                raise SessionError("too-many-requests", retry_after=used.seconds_left)
        raise SessionError("unauthorized")
