"""The events that the server sends, for the documents. ``operations`` has the events of clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.sessions.answers import (
    ErrorBody,
    JoinedSession,
    Meta,
    OwnVotes,
    Patch,
    PatchMeta,
    SessionData,
    SessionDecided,
    SessionEnded,
    SessionExpiring,
)

__all__ = ["SERVER_EVENTS", "ServerEvent"]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event. ``arguments``: their types by name. ``to``: the recipients."""

    arguments: dict[str, Any]
    to: str
    summary: str


SERVER_EVENTS: Final[dict[str, ServerEvent]] = {
    "joined-session": ServerEvent({"joined": JoinedSession}, "the joiner", "The socket is in the session"),
    "session-update": ServerEvent(
        {"sessionData": SessionData, "meta": Meta, "offset": str}, "every member", "The newest state, whole"
    ),
    "session-patch": ServerEvent(
        {"patch": Patch, "meta": PatchMeta, "offset": str},
        "members who joined with `patches`",
        "What turns the state last sent to this socket into the newest",
    ),
    "error": ServerEvent(
        {"error": ErrorBody},
        "the socket concerned",
        "Joining failed, or another event for which no acknowledgement was asked",
    ),
    "session-decided": ServerEvent(
        {"decided": SessionDecided}, "every member, once", "The group has decided; the update that shows it follows"
    ),
    "own-votes": ServerEvent(
        {"own": OwnVotes},
        "the other sockets of a participant",
        "The participant's ratings have changed over HTTP or another socket",
    ),
    "session-expiring": ServerEvent({"expiring": SessionExpiring}, "every member, once", "The session ends soon"),
    "session-ended": ServerEvent(
        {"ended": SessionEnded}, "every member, once", "The session is over; an `error` with the text of 404 follows"
    ),
}
