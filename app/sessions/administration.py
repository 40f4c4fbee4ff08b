"""The operators' use cases: list and inspect sessions, end them, remove participants, reset rate limits."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Final

from typing_extensions import TypedDict

from app.sessions.answers import Done, SessionSummary
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.model import Session
from app.sessions.permissions import Action
from app.sessions.ports import Budgets, Place, SessionListing, SessionStore
from app.sessions.rules import Rules
from app.sessions.steps import Commit, Operator, Removal
from app.sessions.timestamps import timestamp
from app.sessions.validation import invalid

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
    """The operators' use cases. The methods raise ``SessionError``. They count against no rate limit."""

    def __init__(
        self, store: SessionStore, listing: SessionListing, budgets: Budgets, codes: CodeSpace, rules: Rules
    ) -> None:
        self._store = store
        self._listing = listing
        self._budgets = budgets
        self._codes = codes
        self._rules = rules

    def now(self) -> str:
        """Return the time by the store's clock, in the form of the wire."""
        return timestamp(self._store.now())

    async def sessions(self, cursor: str | None, limit: int) -> SessionPage:
        """Return a page of the live sessions, soonest to expire first.

        A session that lives throughout is on at least one page. It may be on two if its lifetime was extended
        meanwhile.
        """
        listed = await self._listing.page(_place(cursor), limit)
        behind = listed.behind
        return {"sessions": listed.sessions, "next": f"{behind.expiry}-{behind.code}" if behind else None}

    async def session(self, text: str) -> Session:
        """Return a session with all its participants listed."""
        code = self._codes.parse(text)
        session = await self._store.read(code) if code is not None else None
        if session is None:
            raise SessionError("session-not-found")
        return replace(session, max_listed=max(session.max_listed, len(session.participants)))

    async def end(self, text: str) -> Done:
        """End a session and notify its members."""
        code, operator = await self._operator(text, Action.END_SESSION)
        return _changed(Action.END_SESSION, await self._store.end_session(code, operator))

    async def kick(self, text: str, participant: str, *, ban: bool) -> Done:
        """Remove a participant. The host can be removed as well, which voids the host token."""
        reason: Removal = "banned" if ban else "kicked"
        code, operator = await self._operator(text, Action.KICK)
        return _changed(Action.KICK, await self._store.remove_participant(code, operator, participant, reason))

    async def usage(self) -> dict[str, Used]:
        """Return how much of the deployment's limits is in use."""
        rules = self._rules
        return {
            "sessions": {"used": await self._store.count(), "limit": rules.max_sessions},
            "missesPerMinute": {"used": await self._budgets.total_misses(), "limit": rules.miss_budget_total},
        }

    async def forgive(self, address: str) -> None:
        """Reset the rate limits of an address."""
        await self._budgets.forgive(address)
        _logger.info("an operator has lifted the limits of an address")

    async def _operator(self, text: str, action: Action) -> tuple[str, Operator]:
        session = await self.session(text)
        return session.code, Operator(session.instance, action)


def _changed(action: Action, commit: Commit) -> Done:
    _logger.info("an operator has changed a session", extra={"action": action})
    return commit.done


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise invalid("cursor", "must be the `next` of an earlier page")
    return Place(int(match[1]), match[2])
