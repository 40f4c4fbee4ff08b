"""The models of client requests. Both transports validate with them, and the documents are generated from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from app.sessions.answer_fields import Clearing, DecideWhen, Rating, Reveal
from app.sessions.names import MAX_NAME, clean_text
from app.sessions.validation import problem_of

__all__ = [
    "CURSOR",
    "MIN_CREATION_KEY",
    "AddMovie",
    "AddMovies",
    "CreateSession",
    "Decide",
    "JoinOptions",
    "KickParticipant",
    "ListParticipants",
    "MovieDetails",
    "MovieReference",
    "Mutation",
    "NoArguments",
    "Payload",
    "RenameParticipant",
    "Reopen",
    "TransferHost",
    "UpdateSession",
    "Vote",
    "parse",
]

MAX_ID: Final = 64
MAX_PASSCODE: Final = 64
MIN_CREATION_KEY: Final = 16
MIN_DECISION_SECONDS: Final = 5
CURSOR: Final = "^[0-9]{1,15}$"
"""The pattern of cursors in the list of participants."""

# The pattern of texts in the documents. It cannot express everything that `clean_text` refuses.
_REFUSED: Final = r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
_PRINTABLE: Final = f"^[^{_REFUSED}]*$"
_VISIBLE: Final = rf"^[^{_REFUSED}]*[^\s{_REFUSED}][^{_REFUSED}]*$"
_ID: Final = rf"^(?!\.{{1,2}}$)[^|/\s{_REFUSED}]([^|/{_REFUSED}]*[^|/\s{_REFUSED}])?$"

_SETTINGS: Final = (
    "title",
    "capacity",
    "locked",
    "ttl_seconds",
    "decide_in_seconds",
    "decide_when",
    "reveal",
    "passcode",
)

# A URL with a host, without characters that could end the HTML attribute or style in which a page puts it.
_HTTPS: Final = re.compile(r"https://[^\s/?#\x22'<>\\`\x00-\x20]+([/?#][^\s\x22'<>\\`\x00-\x20]*)?")


@dataclass(frozen=True, slots=True)
class _Text:
    """A text for other participants, validated by ``clean_text``."""

    longest: int
    shortest: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._cleaned, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shown = handler(schema)
        shown |= {"maxLength": self.longest, "pattern": _VISIBLE if self.shortest else _PRINTABLE}
        if self.shortest > 1:
            shown["minLength"] = self.shortest
        return shown

    def _cleaned(self, text: str) -> str:
        text = clean_text(text, self.longest)
        if len(text) < self.shortest:
            raise ValueError(
                "must not be empty" if self.shortest == 1 else f"must be at least {self.shortest} characters"
            )
        return text


def _id(text: str) -> str:
    """Validate an id. Ids are used in paths of URLs and as parts of entries in the store."""
    if text != clean_text(text, MAX_ID) or "|" in text or "/" in text or text in (".", ".."):
        raise ValueError("must have no spaces around it, no | and no /")
    return text


def _https(url: str) -> str:
    if not _HTTPS.fullmatch(url):
        raise ValueError("must be an https URL")
    return clean_text(url, 2048)


def _cursor(text: str) -> str:
    if not re.fullmatch(CURSOR, text):
        raise ValueError("must be the `next` of an earlier page")
    return text


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID, json_schema_extra={"pattern": _ID}), AfterValidator(_id)]
MovieID = Annotated[Id, Field(validation_alias=AliasChoices("movieID", "movie_id"), serialization_alias="movieID")]
ParticipantID = Annotated[
    Id, Field(validation_alias=AliasChoices("participantID", "participant_id"), serialization_alias="participantID")
]
Passcode = Annotated[str, _Text(MAX_PASSCODE, shortest=6)]
Key = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]


class Payload(BaseModel):
    """Base class of all payloads: camelCase on the wire, no type coercion, unknown fields are ignored."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        # A model is built when it is first used, not while the service starts.
        defer_build=True,
    )


class Mutation(Payload):
    """A change. ``mid`` is its idempotency key: repeated with the same key, it is done once and answered alike."""

    mid: Key | None = None


class MovieDetails(Payload):
    """A movie as its adder describes it. ``id`` is the client's own, unique in the session."""

    id: Id
    title: Annotated[str, _Text(200, shortest=1)]
    year: Annotated[int, Field(ge=1850, le=2200)] | None = None
    poster_url: (
        Annotated[
            str, Field(max_length=2048, json_schema_extra={"pattern": f"^{_HTTPS.pattern}$"}), AfterValidator(_https)
        ]
        | None
    ) = None
    overview: Annotated[str, _Text(1000)] | None = None
    genres: Annotated[list[Annotated[str, _Text(40, shortest=1)]], Field(max_length=20, fail_fast=True)] | None = None


class DecisionSettings(Payload):
    """How the decision comes: by the host, some time from now, or once everybody has rated every movie.

    ``reveal``: whether ratings are shown as they are made, or with the decision.
    """

    decide_in_seconds: Annotated[float, Field(ge=MIN_DECISION_SECONDS, allow_inf_nan=False)] | None = None
    decide_when: DecideWhen | None = None
    reveal: Reveal | None = None


class CreateSession(DecisionSettings):
    """Body of ``POST /api/session/create``; everything is optional."""

    title: Annotated[str, _Text(100)] | None = None
    ttl_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    capacity: Annotated[int, Field(ge=1)] | None = None
    movies: Annotated[list[MovieDetails], Field(max_length=10_000, fail_fast=True)] = []
    leaver_ratings: Literal["keep", "drop"] | None = None
    passcode: Annotated[Passcode | None, Field(repr=False)] = None


class JoinOptions(Payload):
    """Second argument of ``join-session``.

    With ``patches`` updates after the first are sent as ``session-patch``. ``observe``: only watch, as no participant.
    A session that has a passcode asks for it where no ``token`` is shown.
    """

    name: Annotated[str, _Text(MAX_NAME)] | None = None
    token: Annotated[str, Field(max_length=256)] | None = None
    passcode: Annotated[Annotated[str, _Text(MAX_PASSCODE)] | None, Field(repr=False)] = None
    patches: bool = False
    observe: bool = False


class AddMovie(MovieDetails, Mutation):
    """Payload of ``add-movie`` for one movie."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["movies"]}})


class AddMovies(Mutation):
    """Payload of ``add-movie`` for many movies, all or none; one movie itself is taken, too."""

    movies: Annotated[list[MovieDetails], Field(min_length=1, max_length=10_000, fail_fast=True)]

    @model_validator(mode="before")
    @classmethod
    def _one(cls, data: Any) -> Any:
        if isinstance(data, dict) and "movies" not in data and "id" in data:
            return {"movies": [data], "mid": data.get("mid")}
        return data


class MovieReference(Mutation):
    """Payload of ``remove-movie`` and ``withdraw-vote``."""

    movie_id: MovieID


class Vote(Mutation):
    """Payload of ``vote``: 1 is a veto, 5 the best."""

    movie_id: MovieID
    rating: Rating


class UpdateSession(DecisionSettings, Mutation):
    """Payload of ``update-session``: at least one of them; a title, time or passcode of null takes that away."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    title: Annotated[str, _Text(100)] | None = None
    capacity: Annotated[int, Field(ge=1)] | None = None
    locked: bool | None = None
    ttl_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    passcode: Annotated[Passcode | None, Field(repr=False)] = None

    @model_validator(mode="after")
    def _something(self) -> UpdateSession:
        if self.model_fields_set.isdisjoint(_SETTINGS):
            raise ValueError("must change something")
        return self


class Decide(Mutation):
    """Payload of ``decide``: the movie that the host names, or nothing for the first of the ranking."""

    movie_id: Annotated[
        Id | None, Field(validation_alias=AliasChoices("movieID", "movie_id"), serialization_alias="movieID")
    ] = None


class Reopen(Mutation):
    """Payload of ``reopen``: what to clear, the ratings, or the movies with them; nothing without it."""

    clear: Clearing | None = None


class RenameParticipant(Mutation):
    """Payload of ``rename-participant``: one's own name. An id that is not one's own is refused."""

    name: Annotated[str, _Text(MAX_NAME, shortest=1)]
    participant_id: Annotated[
        Id | None,
        Field(validation_alias=AliasChoices("participantID", "participant_id"), serialization_alias="participantID"),
    ] = None


class KickParticipant(Mutation):
    """Payload of ``kick-participant``; with ``ban`` the participant's token is void for this session."""

    participant_id: ParticipantID
    ban: bool = False


class ListParticipants(Payload):
    """Query of the list of participants: the ``next`` of the page before."""

    cursor: Annotated[str, Field(json_schema_extra={"pattern": CURSOR}), AfterValidator(_cursor)] | None = None

    @property
    def after(self) -> int:
        """The order of the last participant of the page before, 0 for the first page."""
        return int(self.cursor or 0)


class TransferHost(Mutation):
    """Payload of ``transfer-host``."""

    participant_id: ParticipantID


class NoArguments(Mutation):
    """Payload of ``leave-session``, ``rotate-host-token`` and ``end-session``: at most an idempotency key."""


P = TypeVar("P", bound=Payload)


def parse(model: type[P], data: Any) -> P:
    """Validate ``data``; raises ``invalid-payload``."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise problem_of(error) from None
