"""The permission matrix, which the store enforces and the documents show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

__all__ = ["Action", "Grant", "Permission"]

Grant = Literal["any", "own", "none"]


@dataclass(frozen=True, slots=True)
class Permission:
    """``any``: on everything in the session. ``own``: on one's own data. ``none``: not at all.

    A stranger knows the session's code but has no token for it and is not in it. An operator uses the operators' token
    on the internal port.
    """

    host: Grant
    member: Grant
    stranger: Grant
    operator: Grant = "none"


class Action(StrEnum):
    """Everything that can be done in a session, with its permission."""

    permission: Permission

    def __new__(cls, name: str, *grants: Grant) -> Self:
        action = str.__new__(cls, name)
        action._value_ = name
        action.permission = Permission(*grants)
        return action

    READ = "read", "any", "any", "any", "any"
    LIST_PARTICIPANTS = "list-participants", "any", "any", "none"
    JOIN = "join", "any", "any", "any"
    LEAVE = "leave", "own", "own", "none"
    ADD_MOVIES = "add-movies", "any", "any", "none"
    REMOVE_MOVIE = "remove-movie", "any", "own", "none"
    VOTE = "vote", "own", "own", "none"
    WITHDRAW_VOTE = "withdraw-vote", "own", "own", "none"
    RENAME_PARTICIPANT = "rename-participant", "own", "own", "none"
    UPDATE_SESSION = "update-session", "any", "none", "none"
    KICK = "kick", "any", "none", "none", "any"
    TRANSFER_HOST = "transfer-host", "any", "none", "none"
    ROTATE_HOST_TOKEN = "rotate-host-token", "own", "none", "none"
    DECIDE = "decide", "any", "none", "none"
    REOPEN = "reopen", "any", "none", "none"
    END_SESSION = "end-session", "any", "none", "none", "any"
