"""Lists of sessions by the time at which a replica has to look after them.

All times are Unix milliseconds of Redis's clock. A session is claimed while it is looked after, and taken off the list
afterwards, so another replica looks after it if the first one dies. All such work may be done twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import array, integer, texts
from app.store.client_errors import client_errors
from app.store.scripts import LIST_SCRIPTS

__all__ = ["Due", "DueList"]

_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Due:
    """Sessions to look after. ``claim`` is passed to ``settle``."""

    claim: int
    codes: list[str]


class DueList:
    """The list under one key. All methods raise ``SessionError``."""

    def __init__(self, client: RedisClient, key: str) -> None:
        self._client = client
        self._key = key

    async def schedule(self, code: str, due: int) -> None:
        """Have a session looked after at ``due`` or earlier."""
        with client_errors(changing=True):
            await self._client.run(LIST_SCRIPTS.schedule_due, [self._key], [code, due])

    async def claim(self, seconds: float) -> Due:
        """Claim sessions that are due; other replicas do not get them for ``seconds``."""
        with client_errors(changing=True):
            reply = await self._client.run(LIST_SCRIPTS.claim_due, [self._key], [_BATCH, round(seconds * 1000)])
            with reading_reply():
                claim, codes = array(reply)
                return Due(integer(claim), texts(codes))

    async def settle(self, code: str, claim: int, next_due: int) -> None:
        """End a claim: the session was looked after, and is due again at ``next_due`` (0: not scheduled)."""
        with client_errors(changing=True):
            await self._client.run(LIST_SCRIPTS.settle_due, [self._key], [code, claim, next_due])
