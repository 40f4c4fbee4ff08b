"""The types of responses, acknowledgements and server events. The documents are generated from them."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from app.sessions.answer_fields import (
    Compatibility,
    Count,
    DecidedBy,
    DecideWhen,
    Decision,
    Phase,
    Rank,
    Rating,
    Reveal,
    Role,
    Score,
    Standing,
    Time,
    Version,
    Vetoes,
)
from app.sessions.errors import CATALOGUE, SessionError

__all__ = [
    "Ack",
    "Decided",
    "Done",
    "EndReason",
    "ErrorBody",
    "ErrorCode",
    "HostTokenRotated",
    "JoinFailure",
    "Joined",
    "JoinedSession",
    "Meta",
    "Movie",
    "MoviesAdded",
    "OwnVotes",
    "Participant",
    "ParticipantPage",
    "Patch",
    "PatchMeta",
    "PatchRemoval",
    "PatchValue",
    "Refused",
    "Result",
    "ResultMovie",
    "SessionCreated",
    "SessionData",
    "SessionDecided",
    "SessionEnded",
    "SessionExpiring",
    "SessionFound",
    "SessionState",
    "SessionSummary",
    "VersionMeta",
    "error_body",
    "result_of",
]

EndReason = Literal["expired", "ended", "kicked", "replaced", "lost"]
ErrorCode = TypeAliasType("ErrorCode", Annotated[str, Field(json_schema_extra={"enum": [*CATALOGUE]})])


class Participant(TypedDict):
    """Somebody in the session; ``connected`` is false while they are away and may come back.

    ``rated``: how many of the movies they have rated; where ratings are shown ``live``, 0 until it is all of them.
    """

    id: str
    name: str
    role: Role
    connected: bool
    joinedAt: Time
    rated: Annotated[int, Field(ge=0)]


class Movie(TypedDict):
    """A movie with its standing. ``addedBy`` is a participant's id, null where it was given at ``create``.

    ``count`` to ``rank`` are null while the ratings are hidden.
    """

    id: str
    title: str
    year: NotRequired[int]
    posterUrl: NotRequired[str]
    overview: NotRequired[str]
    genres: NotRequired[list[str]]
    addedBy: str | None
    addedAt: Time
    count: Count | None
    vetoes: Vetoes | None
    score: Score | None
    compatibility: Compatibility | None
    rank: Rank | None


class SessionData(TypedDict):
    """The movies and participants of a session, in the order they came; of many only the host and the first ones."""

    createdAt: Time
    movies: list[Movie]
    participants: list[Participant]


class VersionMeta(TypedDict):
    """The part of ``Meta`` that is the same as long as the version is."""

    sessionID: str
    epoch: str
    version: Version
    title: str | None
    locked: bool
    capacity: Annotated[int, Field(ge=1)]
    expiresAt: Time
    people: Annotated[int, Field(ge=0, description="All participants, also those who are not listed")]
    observers: Annotated[int, Field(ge=0, description="Those who only watch")]
    phase: Phase
    decision: Decision | None
    decideAt: Time | None
    decideWhen: DecideWhen
    reveal: Reveal


class Meta(VersionMeta):
    """About the session. ``version`` grows by one with each change; a new ``epoch`` says that changes were lost.

    ``decideAt``: when the decision comes by itself. ``decideWhen``: whether it comes once everybody has rated every
    movie, or by the host. ``reveal``: whether ratings are shown as they are made, or with the decision. ``now``: the
    time by the same clock as the others, for countdowns.
    """

    now: Time


class PatchRemoval(TypedDict):
    """An operation of RFC 6902: what is at the path goes."""

    op: Literal["remove"]
    path: str


class PatchValue(TypedDict):
    """An operation of RFC 6902: the value is inserted at the path, or takes the place of what is there."""

    op: Literal["add", "replace"]
    path: str
    value: Movie | Participant | list[str] | str | float | bool | None


Patch = TypeAliasType("Patch", list[PatchRemoval | PatchValue])

_PatchStart = TypedDict("_PatchStart", {"from": Version})


class PatchMeta(_PatchStart, TypedDict):
    """Of a patch from the version ``from`` to ``version``, both of this ``epoch``; the others are there if changed.

    ``now`` is there while the decision comes by time.
    """

    epoch: str
    version: Version
    title: NotRequired[str | None]
    locked: NotRequired[bool]
    capacity: NotRequired[Annotated[int, Field(ge=1)]]
    expiresAt: NotRequired[Time]
    people: NotRequired[Annotated[int, Field(ge=0)]]
    observers: NotRequired[Annotated[int, Field(ge=0)]]
    phase: NotRequired[Phase]
    decision: NotRequired[Decision | None]
    decideAt: NotRequired[Time | None]
    decideWhen: NotRequired[DecideWhen]
    reveal: NotRequired[Reveal]
    now: NotRequired[Time]


class SessionFound(TypedDict):
    """The session exists."""

    sessionID: str
    message: Literal["Session found. You can now connect via WebSocket."]
    sessionData: SessionData


class SessionCreated(TypedDict):
    """``hostToken`` gives the host's rights to whoever shows it, as long as the session lives; it is told only here."""

    sessionID: str
    message: Literal["Session created"]
    sessionData: SessionData
    hostToken: str
    meta: Meta


class SessionSummary(TypedDict):
    """What operators see of a session in a list."""

    sessionID: str
    title: str | None
    locked: bool
    participants: int
    movies: int
    version: int
    createdAt: Time
    expiresAt: Time


class SessionState(TypedDict):
    """A session as it stands."""

    sessionID: str
    sessionData: SessionData
    meta: Meta


class ParticipantPage(TypedDict):
    """Participants in the order they joined. ``next`` is the cursor of the next page, null on the last one."""

    participants: list[Participant]
    next: str | None


class ResultMovie(Standing):
    """A movie in the result."""

    title: str
    year: NotRequired[int]


class Result(TypedDict):
    """The result of a session: what was decided, and the ranking as it stood."""

    sessionID: str
    title: str | None
    movieID: str
    by: DecidedBy
    tied: list[str]
    decidedAt: Time
    people: Annotated[int, Field(ge=0)]
    ranking: list[ResultMovie]


class Done(TypedDict):
    """The change has been executed; ``version`` is the session's with it, ``now`` the time by the service's clock."""

    ok: Literal[True]
    version: Version
    now: Time


class MoviesAdded(Done):
    """Ids of the movies that were added, and of those that were on the list already."""

    added: list[str]
    present: list[str]


class Decided(Done):
    """The decision that was made."""

    decision: Decision


class HostTokenRotated(Done):
    """``hostToken`` is the new one; those before are void."""

    hostToken: str


class Joined(Done):
    """``token`` lets the participant come back; ``votes`` are the participant's own ratings, by movie.

    Of an observer ``participantID`` and ``token`` are empty.
    """

    sessionID: str
    participantID: str
    token: str
    votes: dict[str, Rating]


class Refused(TypedDict):
    """Nothing was changed, unless ``code`` is ``outcome-unknown``. ``retryAfter`` is in seconds.

    ``field`` is the path of the field that is wrong, if one is.
    """

    ok: Literal[False]
    code: ErrorCode
    message: str
    field: NotRequired[str]
    retryable: NotRequired[Literal[True]]
    retryAfter: NotRequired[Annotated[int, Field(ge=1)]]
    decision: NotRequired[Decision]


Ack = Done | MoviesAdded | Decided | HostTokenRotated | Joined | Refused


def result_of(ack: Ack) -> str:
    """Return ``ok``, or the code of the error."""
    return "ok" if ack["ok"] else ack["code"]


class ErrorBody(TypedDict):
    """What went wrong: ``message`` for people, ``code`` for programs, ``field`` the path of a field that is wrong.

    ``decision``: the one that was made before.
    """

    message: str
    code: ErrorCode
    field: NotRequired[str]
    decision: NotRequired[Decision]


def error_body(error: SessionError) -> ErrorBody:
    """Return the body of an error response, which is also the payload of the event ``error``."""
    body: ErrorBody = {"message": error.message, "code": error.code}
    if error.field is not None:
        body["field"] = error.field
    if error.decision is not None:
        body["decision"] = error.decision
    return body


class JoinFailure(TypedDict):
    """What went wrong; the code is in the header ``X-Error-Code``."""

    message: str


class JoinedSession(TypedDict):
    """From now on every change that is committed reaches this socket."""

    sessionID: str


class SessionExpiring(TypedDict):
    """The session has lived as long as it may, and ends at that time whatever anybody does."""

    sessionID: str
    expiresAt: Time


class SessionDecided(TypedDict):
    """The group has decided."""

    sessionID: str
    decision: Decision


class OwnVotes(TypedDict):
    """The participant's own ratings, by movie, changed over another connection."""

    votes: dict[str, Rating]


class SessionEnded(TypedDict):
    """The session is over for this client."""

    sessionID: str
    reason: EndReason
