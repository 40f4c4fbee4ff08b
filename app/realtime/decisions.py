"""Tells members of a decision, once each."""

from __future__ import annotations

from collections.abc import Iterable

from app.realtime.member import Emitter, Member
from app.sessions.decision import DecisionEntry
from app.sessions.model import Session

__all__ = ["tell_decision"]


def tell_decision(emitter: Emitter, session: Session, members: Iterable[Member]) -> None:
    """Send ``session-decided`` to the members who do not know of the decision; they are sent the session next."""
    decision = session.decision
    if decision is None:
        return
    uninformed = [member for member in members if not _knows(member, decision, session)]
    if not uninformed:
        return
    for member in uninformed:
        member.told = decision.decided_at
    body = {"sessionID": session.code, "decision": decision.shown}
    emitter.deliver([member.sid for member in uninformed], emitter.encode("session-decided", body, compress=True))


def _knows(member: Member, decision: DecisionEntry, session: Session) -> bool:
    """Return whether a member was told, or came when the session was decided already."""
    if member.told == decision.decided_at:
        return True
    if member.informed.epoch == decision.head.epoch:
        return member.informed.version >= decision.head.version
    return member.informed.epoch == session.head.epoch
