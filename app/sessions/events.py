"""The events of the wire contract: what handlers parse with, and what the documents are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from app.sessions.answers import (
    Done,
    ErrorBody,
    HostTokenRotated,
    JoinedSession,
    Meta,
    MoviesAdded,
    SessionData,
    SessionEnded,
    SessionExpiring,
)
from app.sessions.payloads import (
    AddMovies,
    KickParticipant,
    MovieReference,
    Mutation,
    NoArguments,
    TransferHost,
    UpdateSession,
    Vote,
)
from app.sessions.permissions import Action

__all__ = ["CLIENT_EVENTS", "EVENTS", "SERVER_EVENTS", "ClientEvent", "ServerEvent"]


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """A change that a client in a session asks for: its one argument and its acknowledgement, if it succeeds."""

    action: Action
    payload: type[Mutation]
    ack: Any
    summary: str


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """What clients are told: the arguments by their names, and to whom it goes."""

    arguments: dict[str, Any]
    to: str
    summary: str


CLIENT_EVENTS: Final[dict[str, ClientEvent]] = {
    "leave-session": ClientEvent(Action.LEAVE, NoArguments, Done, "Leave the session at once"),
    "add-movie": ClientEvent(Action.ADD_MOVIES, AddMovies, MoviesAdded, "Add one movie, or many: all or none"),
    "remove-movie": ClientEvent(Action.REMOVE_MOVIE, MovieReference, Done, "Take a movie off the list"),
    "vote": ClientEvent(Action.VOTE, Vote, Done, "Rate a movie from 1, a veto, to 5; the newest rating counts"),
    "withdraw-vote": ClientEvent(Action.WITHDRAW_VOTE, MovieReference, Done, "Take one's rating back"),
    "update-session": ClientEvent(Action.UPDATE_SESSION, UpdateSession, Done, "Title, capacity, lock, lifetime"),
    "kick-participant": ClientEvent(Action.KICK, KickParticipant, Done, "Remove a participant, or ban it"),
    "transfer-host": ClientEvent(Action.TRANSFER_HOST, TransferHost, Done, "Make another participant the host"),
    "rotate-host-token": ClientEvent(
        Action.ROTATE_HOST_TOKEN, NoArguments, HostTokenRotated, "Get a new host token; the old one is void"
    ),
    "end-session": ClientEvent(Action.END_SESSION, NoArguments, Done, "End the session for everybody"),
}

EVENTS: Final = CLIENT_EVENTS.keys() | {"join-session"}
"""All that clients may send; joining is the one that is for those in no session."""

SERVER_EVENTS: Final[dict[str, ServerEvent]] = {
    "joined-session": ServerEvent({"joined": JoinedSession}, "the joiner", "The socket is in the session"),
    "session-update": ServerEvent(
        {"sessionData": SessionData, "meta": Meta, "offset": str}, "every member", "The newest state, whole"
    ),
    "error": ServerEvent(
        {"error": ErrorBody},
        "the socket concerned",
        "Joining failed, or another event for which no acknowledgement was asked",
    ),
    "session-expiring": ServerEvent({"expiring": SessionExpiring}, "every member, once", "The session ends soon"),
    "session-ended": ServerEvent(
        {"ended": SessionEnded}, "every member, once", "The session is over; an `error` with the text of 404 follows"
    ),
}
