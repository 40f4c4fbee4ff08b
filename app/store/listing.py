"""Pages of the list of live sessions, by their time of expiry."""

from __future__ import annotations

from typing import Any, Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreError, reading_reply
from app.sessions.answers import SessionSummary
from app.sessions.model import timestamp
from app.sessions.ports import Place
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["RedisListing"]

_FIELDS: Final = ("title", "locked", "people", "films", "version", "created")


class RedisListing:
    """See ``app.sessions.ports.SessionListing``.

    A page is one look into ``js:sessions`` and two short commands for each session on it, however many there are.
    """

    def __init__(self, connection: RedisClient, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._script = LIST_SCRIPTS.list_sessions

    async def page(self, behind: Place | None, limit: int) -> tuple[list[SessionSummary], Place | None]:
        with client_errors(changing=False):
            found = await self._connection.run(self._script, [self._keys.sessions], [limit, *(behind or ())])
            with reading_reply():
                pairs = zip(found[::2], found[1::2], strict=True)
                places = [Place(int(expiry), code.decode()) for code, expiry in pairs]
            commands: list[tuple[str, ...]] = []
            for place in places:
                key = self._keys.session(place.code)
                commands += [("HMGET", key, *_FIELDS), ("PEXPIRETIME", key)]
            replies = await self._connection.batch(commands)
            for reply in replies:
                if isinstance(reply, StoreError):
                    raise reply
            with reading_reply():
                rows = zip(places, replies[::2], replies[1::2], strict=True)
                live = [_summary(place.code, *told) for place, *told in rows if told[0][-1] is not None and told[1] > 0]
            return live, places[-1] if len(places) == limit else None


def _summary(code: str, fields: list[bytes | None], expiry: int) -> SessionSummary:
    title, locked, people, films, version, created = fields
    numbers: list[Any] = [people, films, version, created]
    participants, movies, head, created_at = (int(number) for number in numbers)
    return {
        "sessionID": code,
        "title": title.decode() if title else None,
        "locked": locked == b"1",
        "participants": participants,
        "movies": movies,
        "version": head,
        "createdAt": timestamp(created_at),
        "expiresAt": timestamp(expiry),
    }
