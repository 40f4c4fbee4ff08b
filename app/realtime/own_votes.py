"""Tells a participant's other sockets when the participant's ratings have changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.background import Background
from app.realtime.member import Emitter, Member
from app.sessions.errors import SessionError
from app.store.announcements import Rerated
from app.store.sessions import RedisSessions

__all__ = ["OwnVotes"]

_logger = logging.getLogger(__name__)


class OwnVotes:
    """The ratings of participants of one session who have ``members`` here, as far as they have changed.

    Changes that come while the ratings are read are read together.
    """

    def __init__(self, code: str, store: RedisSessions, emitter: Emitter, members: Mapping[str, Member]) -> None:
        self._code = code
        self._store = store
        self._emitter = emitter
        self._members = members
        # Who is to be told.
        self._waiting: set[Member] = set()
        self._telling = False
        self._background = Background("own votes", _logger)

    def changed(self, rerated: Rerated) -> None:
        """Tell whoever the announced change concerns, but for the connection that has made it."""
        self._waiting.update(
            member
            for member in self._members.values()
            if rerated.participant in (None, member.participant) and member.connection != rerated.connection
        )
        if self._waiting and not self._telling:
            self._telling = True
            self._background.start(self._tell())

    async def close(self) -> None:
        """Stop telling."""
        await self._background.close()

    async def _tell(self) -> None:
        try:
            while self._waiting:
                participant = next(iter(self._waiting)).participant
                members = {member for member in self._waiting if member.participant == participant}
                self._waiting -= members
                votes = await self._store.votes(self._code, participant)
                present = [member.sid for member in members if self._members.get(member.sid) is member]
                if present:
                    self._emitter.deliver(present, self._emitter.encode("own-votes", {"votes": votes}))
        except SessionError as error:
            # The clients have them with the acknowledgement of their next join.
            self._waiting.clear()
            _logger.warning("a participant's ratings cannot be read for other sockets", extra={"code": error.code})
        finally:
            self._telling = False
