"""The routes of the session API, for the document: what they take and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.documents.schemas import Schema, body_of, named
from app.sessions.answers import Done, MoviesAdded, SessionCreated, SessionFound, SessionState
from app.sessions.payloads import AddMovie, AddMovies, CreateSession, UpdateSession, Vote
from app.sessions.permissions import Action

__all__ = ["Route", "routes"]

_ALWAYS: Final = (
    "invalid-payload",
    "request-timeout",
    "payload-too-large",
    "headers-too-large",
    "internal-error",
    "unavailable",
)
_LOOKS_UP: Final = (*_ALWAYS, "session-not-found", "too-many-requests")
_CHANGES: Final = (
    *_LOOKS_UP,
    "unauthorized",
    "forbidden",
    "not-joined",
    "limit-reached",
    "idempotency-mismatch",
    "outcome-unknown",
)


@dataclass(frozen=True, slots=True)
class Route:
    """``action`` is what the permissions are looked up by; ``errors`` are codes of the catalogue."""

    method: str
    path: str
    name: str
    summary: str
    status: int
    answer: Any
    errors: Sequence[str]
    action: Action | None = None
    body: Schema | None = None
    parameters: Sequence[str] = ()

    @property
    def joins(self) -> bool:
        """Whether it is the join route, whose errors have no code in their body."""
        return self.name == "joinSession"


def routes() -> tuple[Route, ...]:
    """All of them, in the order of a session's life."""
    session = "/api/session/{sessionID}"
    movie = f"{session}/movies/{{movieID}}"
    once = ("Idempotency-Key",)
    return (
        Route(
            "POST",
            "/api/session/join",
            "joinSession",
            "Tell whether a session exists; changes nothing",
            200,
            SessionFound,
            (
                "session-id-required",
                "session-not-found",
                "request-timeout",
                "payload-too-large",
                "too-many-requests",
                "join-failed",
            ),
            body=named("JoinRequest"),
        ),
        Route(
            "POST",
            "/api/session/create",
            "createSession",
            "Make a session; where the deployment has a key for that, the token is that key",
            201,
            SessionCreated,
            (
                *_ALWAYS,
                "unauthorized",
                "too-many-requests",
                "limit-reached",
                "idempotency-mismatch",
                "outcome-unknown",
                "codes-exhausted",
                "session-not-found",
            ),
            body=body_of(CreateSession),
            parameters=("Creation-Key",),
        ),
        Route(
            "GET",
            session,
            "readSession",
            "Read a session",
            200,
            SessionState,
            _LOOKS_UP,
            Action.READ,
            parameters=("If-None-Match",),
        ),
        Route(
            "PATCH",
            session,
            "updateSession",
            "Change title, capacity, lock or lifetime",
            200,
            Done,
            _CHANGES,
            Action.UPDATE_SESSION,
            body_of(UpdateSession),
            once,
        ),
        Route("DELETE", session, "endSession", "End the session", 200, Done, _CHANGES, Action.END_SESSION, None, once),
        Route(
            "POST",
            f"{session}/movies",
            "addMovies",
            "Add one movie, or many: all or none",
            200,
            MoviesAdded,
            _CHANGES,
            Action.ADD_MOVIES,
            {"anyOf": [body_of(AddMovies), body_of(AddMovie)]},
            once,
        ),
        Route(
            "DELETE",
            movie,
            "removeMovie",
            "Take a movie off the list",
            200,
            Done,
            (*_CHANGES, "movie-not-found"),
            Action.REMOVE_MOVIE,
            None,
            once,
        ),
        Route(
            "PUT",
            f"{movie}/vote",
            "vote",
            "Rate a movie",
            200,
            Done,
            (*_CHANGES, "movie-not-found"),
            Action.VOTE,
            body_of(Vote, path=("movieID",)),
            once,
        ),
        Route(
            "DELETE",
            f"{movie}/vote",
            "withdrawVote",
            "Take one's rating back",
            200,
            Done,
            (*_CHANGES, "movie-not-found"),
            Action.WITHDRAW_VOTE,
            None,
            once,
        ),
        Route(
            "DELETE",
            f"{session}/participants/{{participantID}}",
            "removeParticipant",
            "Leave, with one's own token; else remove somebody, or ban them",
            200,
            Done,
            (*_CHANGES, "participant-not-found"),
            Action.KICK,
            None,
            ("ban", *once),
        ),
    )
