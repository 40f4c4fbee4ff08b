"""The operations: everything that clients can ask for, one row each.

The socket handlers, the HTTP routes, the documents and the types are derived from these rows.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from app.sessions.access import Access
from app.sessions.answers import (
    Decided,
    Done,
    HostTokenRotated,
    Joined,
    MoviesAdded,
    ParticipantPage,
    Result,
    SessionCreated,
    SessionFound,
    SessionState,
)
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    Decide,
    JoinOptions,
    KickParticipant,
    ListParticipants,
    MovieReference,
    Mutation,
    NoArguments,
    Payload,
    RenameParticipant,
    Reopen,
    TransferHost,
    UpdateSession,
    Vote,
)
from app.sessions.permissions import Action
from app.sessions.service import SessionService

__all__ = ["EVENTS", "OPERATIONS", "ROUTES", "Change", "Operation", "Route", "UseCase"]

_ANY_REQUEST: Final = (
    "invalid-payload",
    "request-timeout",
    "payload-too-large",
    "headers-too-large",
    "internal-error",
    "unavailable",
)
_LOOK_UP: Final = (*_ANY_REQUEST, "session-not-found", "too-many-requests")
# A session with a passcode is read by those in it.
_READING: Final = (*_LOOK_UP, "unauthorized", "passcode-required", "forbidden", "not-joined")
_CHANGE: Final = (
    *_LOOK_UP,
    "unauthorized",
    "forbidden",
    "not-joined",
    "limit-reached",
    "idempotency-mismatch",
    "outcome-unknown",
)
_VOTING: Final = (*_CHANGE, "session-decided")

P = TypeVar("P", bound=Mutation)
UseCase = Callable[[SessionService, Access, P], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Route:
    """The HTTP route of an operation; the defaults are those of a change.

    ``path``: ``/api/session/{sessionID}/…``; further parameters are fields of the payload. ``query``: fields of the
    payload in the query. ``errors``: codes of the catalogue. ``headers``: request headers for the OpenAPI document.
    ``status``: of a successful response. ``summary``: None to use that of the operation. ``on_oneself``: the action of
    participants who name themselves, if it is another one than the operation's.
    """

    method: str
    path: str
    name: str
    summary: str | None = None
    errors: tuple[str, ...] = _CHANGE
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("Idempotency-Key",)
    status: int = 200
    on_oneself: Action | None = None

    @property
    def subject(self) -> str:
        """The part of the path after the session, by which routes are ordered; empty without one."""
        return self.path.partition("{")[2]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the path, by their names on the wire."""
        return tuple(re.findall(r"{(\w+)}", self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of clients: by an event, by a route, or by either.

    ``action``: for the permission; None if the operation is not performed in a session. ``payload``: the model of the
    event's argument or of the request's body, or None. ``answer``: the type of a successful acknowledgement or response
    body.
    """

    action: Action | None
    payload: type[Payload] | None
    answer: Any
    summary: str
    event: str | None = None
    route: Route | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Operation, Generic[P]):
    """A change of a session by a member, or by the holder of a token for the session.

    ``use_case``: the method that both transports call, None if the transport implements the operation.
    """

    action: Action
    payload: type[P]
    event: str
    use_case: UseCase[P] | None


_SESSION: Final = "/api/session/{sessionID}"
_DECISION: Final = f"{_SESSION}/decision"
_MOVIE: Final = f"{_SESSION}/movies/{{movieID}}"
_PARTICIPANT: Final = f"{_SESSION}/participants/{{participantID}}"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        action=None,
        payload=None,
        answer=SessionFound,
        summary="Tell whether a session exists; changes nothing",
        route=Route(
            "POST",
            "/api/session/join",
            "joinSession",
            errors=(
                "session-id-required",
                "session-not-found",
                "request-timeout",
                "payload-too-large",
                "too-many-requests",
                "join-failed",
            ),
            headers=(),
        ),
    ),
    Operation(
        action=None,
        payload=CreateSession,
        answer=SessionCreated,
        summary="Make a session; where the deployment has a key for that, the token is that key",
        route=Route(
            "POST",
            "/api/session/create",
            "createSession",
            errors=(
                *_ANY_REQUEST,
                "unauthorized",
                "too-many-requests",
                "limit-reached",
                "idempotency-mismatch",
                "outcome-unknown",
                "codes-exhausted",
                "session-not-found",
            ),
            headers=("Creation-Key",),
            status=201,
        ),
    ),
    Operation(
        action=Action.READ,
        payload=None,
        answer=SessionState,
        summary="Read a session",
        route=Route("GET", _SESSION, "readSession", errors=_READING, headers=("If-None-Match",)),
    ),
    Operation(
        action=Action.LIST_PARTICIPANTS,
        payload=ListParticipants,
        answer=ParticipantPage,
        summary="List all participants, also those who are not in `sessionData`, page by page",
        route=Route(
            "GET",
            f"{_SESSION}/participants",
            "listParticipants",
            errors=(*_LOOK_UP, "unauthorized", "forbidden", "not-joined"),
            query=("cursor",),
            headers=("If-None-Match",),
        ),
    ),
    Operation(
        action=Action.READ,
        payload=None,
        answer=Result,
        summary="Read what was decided, as JSON, or as CSV with `?format=csv` or by `Accept`",
        route=Route(
            "GET", f"{_SESSION}/result", "readResult", errors=(*_READING, "not-decided"), query=("format",), headers=()
        ),
    ),
    Operation(
        action=Action.JOIN,
        payload=JoinOptions,
        answer=Joined,
        summary="Join a session by its code",
        event="join-session",
    ),
    Change(
        action=Action.LEAVE,
        payload=NoArguments,
        answer=Done,
        summary="Leave the session at once",
        event="leave-session",
        use_case=None,
    ),
    Change(
        action=Action.ADD_MOVIES,
        payload=AddMovies,
        answer=MoviesAdded,
        summary="Add one movie, or many: all or none",
        event="add-movie",
        route=Route("POST", f"{_SESSION}/movies", "addMovies", errors=_VOTING),
        use_case=SessionService.add_movies,
    ),
    Change(
        action=Action.REMOVE_MOVIE,
        payload=MovieReference,
        answer=Done,
        summary="Take a movie off the list",
        event="remove-movie",
        route=Route("DELETE", _MOVIE, "removeMovie", errors=(*_VOTING, "movie-not-found")),
        use_case=SessionService.remove_movie,
    ),
    Change(
        action=Action.VOTE,
        payload=Vote,
        answer=Done,
        summary="Rate a movie from 1, a veto, to 5; the newest rating counts",
        event="vote",
        route=Route("PUT", f"{_MOVIE}/vote", "vote", "Rate a movie", (*_VOTING, "movie-not-found")),
        use_case=SessionService.vote,
    ),
    Change(
        action=Action.WITHDRAW_VOTE,
        payload=MovieReference,
        answer=Done,
        summary="Take one's rating back",
        event="withdraw-vote",
        route=Route("DELETE", f"{_MOVIE}/vote", "withdrawVote", errors=(*_VOTING, "movie-not-found")),
        use_case=SessionService.withdraw_vote,
    ),
    Change(
        action=Action.RENAME_PARTICIPANT,
        payload=RenameParticipant,
        answer=Done,
        summary="Change one's own name",
        event="rename-participant",
        route=Route("PATCH", _PARTICIPANT, "renameParticipant", errors=(*_CHANGE, "participant-not-found")),
        use_case=SessionService.rename_participant,
    ),
    Change(
        action=Action.UPDATE_SESSION,
        payload=UpdateSession,
        answer=Done,
        summary="Title, capacity, lock, lifetime, passcode, and how the decision comes",
        event="update-session",
        route=Route(
            "PATCH",
            _SESSION,
            "updateSession",
            "Change title, capacity, lock, lifetime or passcode, and how the decision comes",
            _VOTING,
        ),
        use_case=SessionService.update_session,
    ),
    Change(
        action=Action.KICK,
        payload=KickParticipant,
        answer=Done,
        summary="Remove a participant, or ban it",
        event="kick-participant",
        route=Route(
            "DELETE",
            _PARTICIPANT,
            "removeParticipant",
            "Leave, with one's own token; else remove somebody, or ban them",
            (*_CHANGE, "participant-not-found"),
            query=("ban",),
            on_oneself=Action.LEAVE,
        ),
        use_case=SessionService.kick,
    ),
    Change(
        action=Action.TRANSFER_HOST,
        payload=TransferHost,
        answer=Done,
        summary="Make another participant the host",
        event="transfer-host",
        use_case=SessionService.transfer_host,
    ),
    Change(
        action=Action.ROTATE_HOST_TOKEN,
        payload=NoArguments,
        answer=HostTokenRotated,
        summary="Get a new host token; the old one is void",
        event="rotate-host-token",
        use_case=SessionService.rotate_host_token,
    ),
    Change(
        action=Action.DECIDE,
        payload=Decide,
        answer=Decided,
        summary="Decide for the first of the ranking, or for the movie that the host names",
        event="decide",
        route=Route("POST", _DECISION, "decide", "Decide", (*_VOTING, "movie-not-found", "nothing-to-decide")),
        use_case=SessionService.decide,
    ),
    Change(
        action=Action.REOPEN,
        payload=Reopen,
        answer=Done,
        summary="Take the decision back and go on voting",
        event="reopen",
        route=Route("DELETE", _DECISION, "reopen", errors=(*_CHANGE, "not-decided"), query=("clear",)),
        use_case=SessionService.reopen,
    ),
    Change(
        action=Action.END_SESSION,
        payload=NoArguments,
        answer=Done,
        summary="End the session for everybody",
        event="end-session",
        route=Route("DELETE", _SESSION, "endSession", "End the session"),
        use_case=SessionService.end_session,
    ),
)

EVENTS: Final[dict[str, Operation]] = {row.event: row for row in OPERATIONS if row.event is not None}
"""The operations over Socket.IO."""


ROUTES: Final[dict[Route, Operation]] = {
    row.route: row
    for row in sorted(OPERATIONS, key=lambda row: row.route.subject if row.route is not None else "")
    if row.route is not None
}
"""The operations over HTTP, with those of one path next to each other."""
