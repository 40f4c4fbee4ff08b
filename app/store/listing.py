"""Pages of the list of live sessions, ordered by time of expiry."""

from __future__ import annotations

from typing import Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import Reply, array, integer, text
from app.sessions.answers import SessionSummary
from app.sessions.ports import ListedSessions, Place
from app.sessions.timestamps import timestamp
from app.store.batches import run_batch
from app.store.client_errors import client_errors
from app.store.keys import Keys
from app.store.scripts import LIST_SCRIPTS

__all__ = ["RedisListing"]

_FIELDS: Final = ("title", "locked", "people", "films", "version", "created")


class RedisListing:
    """Implements ``app.sessions.ports.SessionListing``.

    A page takes one command for ``js:sessions`` and two for each session on the page, however many sessions exist.
    """

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._script = LIST_SCRIPTS.list_sessions

    async def page(self, behind: Place | None, limit: int) -> ListedSessions:
        with client_errors(changing=False):
            arguments: list[str | int] = [limit] if behind is None else [limit, behind.expiry, behind.code]
            found = await self._client.run(self._script, [self._keys.sessions], arguments)
            with reading_reply():
                listed = array(found)
                pairs = zip(listed[::2], listed[1::2], strict=True)
                places = [Place(integer(expiry), text(code)) for code, expiry in pairs]
            commands: list[tuple[str, ...]] = []
            for place in places:
                key = self._keys.session(place.code)
                commands += [("HMGET", key, *_FIELDS), ("PEXPIRETIME", key)]
            replies = await run_batch(self._client, commands)
            with reading_reply():
                rows = zip(places, map(array, replies[::2]), map(integer, replies[1::2]), strict=True)
                live = [
                    _summary(place.code, fields, expiry)
                    for place, fields, expiry in rows
                    if fields[-1] is not None and expiry > 0
                ]
            return ListedSessions(live, places[-1] if len(places) == limit else None)


def _summary(code: str, fields: list[Reply], expiry: int) -> SessionSummary:
    title, locked, people, films, version, created = fields
    return {
        "sessionID": code,
        "title": text(title) if title else None,
        "locked": locked == b"1",
        "participants": integer(people),
        "movies": integer(films),
        "version": integer(version),
        "createdAt": timestamp(integer(created)),
        "expiresAt": timestamp(expiry),
    }
