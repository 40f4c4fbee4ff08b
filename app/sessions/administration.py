"""What operators do, one method each: they may look at every session, end it and remove people, and lift limits."""

from __future__ import annotations

import logging
import re
from typing import Final

from typing_extensions import TypedDict

from app.sessions.answers import Done, SessionSummary
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.model import Session
from app.sessions.permissions import Action
from app.sessions.ports import Budgets, Place, SessionListing, SessionStore
from app.sessions.rules import Rules
from app.sessions.steps import Operator, Removal

__all__ = ["LONGEST_PAGE", "Administration", "SessionPage"]

LONGEST_PAGE: Final = 500

_CURSOR: Final = re.compile(r"(\d{1,15})-([0-9A-Za-z]{1,64})", re.ASCII)

_logger = logging.getLogger(__name__)


class SessionPage(TypedDict):
    """``next`` is the cursor of the page behind this one, null where there is none."""

    sessions: list[SessionSummary]
    next: str | None


class Used(TypedDict):
    """How much of what the whole deployment may have is in use."""

    used: int
    limit: int


class Administration:
    """Every method raises ``SessionError`` for what cannot be done. Nothing here counts on anybody's budget."""

    def __init__(
        self, store: SessionStore, listing: SessionListing, budgets: Budgets, codes: CodeSpace, rules: Rules
    ) -> None:
        self._store = store
        self._listing = listing
        self._budgets = budgets
        self._codes = codes
        self._rules = rules

    async def sessions(self, cursor: str | None, limit: int) -> SessionPage:
        """A page of the live sessions, those that expire first in front.

        A session that lives all the while is on one of the pages; it may come again, if it was prolonged meanwhile.
        """
        listed = await self._listing.page(_place(cursor), limit)
        behind = listed.behind
        return {"sessions": listed.sessions, "next": f"{behind.expiry}-{behind.code}" if behind else None}

    async def session(self, text: str) -> Session:
        code = self._codes.parse(text)
        session = await self._store.read(code) if code is not None else None
        if session is None:
            raise SessionError("session-not-found")
        return session

    async def end(self, text: str) -> Done:
        """Ends a session; everybody in it is told."""
        code, operator = await self._operator(text, Action.END_SESSION)
        return _changed(Action.END_SESSION, await self._store.end_session(code, operator))

    async def kick(self, text: str, participant: str, *, ban: bool) -> Done:
        """Removes somebody from a session, also its host, whose token is void then."""
        reason: Removal = "banned" if ban else "kicked"
        code, operator = await self._operator(text, Action.KICK)
        return _changed(Action.KICK, await self._store.remove_participant(code, operator, participant, reason))

    async def usage(self) -> dict[str, Used]:
        """How much of the limits that all replicas share is used."""
        rules = self._rules
        return {
            "sessions": {"used": await self._store.count(), "limit": rules.max_sessions},
            "missesPerMinute": {"used": await self._budgets.total_misses(), "limit": rules.miss_budget_total},
        }

    async def forgive(self, address: str) -> None:
        """Gives an address its budgets of this minute back."""
        await self._budgets.forgive(address)
        _logger.info("an operator has lifted the limits of an address")

    async def _operator(self, text: str, action: Action) -> tuple[str, Operator]:
        session = await self.session(text)
        return session.code, Operator(session.instance, action)


def _changed(action: Action, version: int) -> Done:
    _logger.info("an operator has changed a session", extra={"action": action})
    return {"ok": True, "version": version}


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise SessionError("invalid-payload", "cursor: must be the next of an earlier page")
    return Place(int(match[1]), match[2])
