"""Who may do what: the one table that the store enforces and the documents show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

__all__ = ["PERMISSIONS", "Action", "Permission"]

Grant = Literal["any", "own", "none"]


class Action(StrEnum):
    """Everything that can be done in a session."""

    READ = "read"
    JOIN = "join"
    LEAVE = "leave"
    ADD_MOVIES = "add-movies"
    REMOVE_MOVIE = "remove-movie"
    VOTE = "vote"
    WITHDRAW_VOTE = "withdraw-vote"
    UPDATE_SESSION = "update-session"
    KICK = "kick"
    TRANSFER_HOST = "transfer-host"
    ROTATE_HOST_TOKEN = "rotate-host-token"  # noqa: S105 - the name of an action
    END_SESSION = "end-session"


@dataclass(frozen=True, slots=True)
class Permission:
    """``any``: on everything in the session; ``own``: on what is theirs; ``none``: not at all.

    A stranger is somebody without a token for the session who is not in it, but knows its code; an operator shows the
    deployment's token on the internal port.
    """

    host: Grant
    member: Grant
    stranger: Grant
    operator: Grant = "none"


PERMISSIONS: Final[dict[Action, Permission]] = {
    Action.READ: Permission("any", "any", "any", "any"),
    Action.JOIN: Permission("any", "any", "any"),
    Action.LEAVE: Permission("own", "own", "none"),
    Action.ADD_MOVIES: Permission("any", "any", "none"),
    Action.REMOVE_MOVIE: Permission("any", "own", "none"),
    Action.VOTE: Permission("own", "own", "none"),
    Action.WITHDRAW_VOTE: Permission("own", "own", "none"),
    Action.UPDATE_SESSION: Permission("any", "none", "none"),
    Action.KICK: Permission("any", "none", "none", "any"),
    Action.TRANSFER_HOST: Permission("any", "none", "none"),
    Action.ROTATE_HOST_TOKEN: Permission("own", "none", "none"),
    Action.END_SESSION: Permission("any", "none", "none", "any"),
}
