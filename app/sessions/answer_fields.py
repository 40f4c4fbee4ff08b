"""The types of fields that answers and events have in common."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType, TypedDict

__all__ = [
    "Clearing",
    "Compatibility",
    "Count",
    "DecideWhen",
    "DecidedBy",
    "Decision",
    "Phase",
    "Rank",
    "Rating",
    "Reveal",
    "Role",
    "Score",
    "Standing",
    "Time",
    "Version",
    "Vetoes",
]

_TIME: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"

Role = Literal["host", "member"]
Phase = Literal["voting", "decided"]
DecidedBy = Literal["ranking", "lot", "host"]
DecideWhen = Literal["host", "all-rated"]
Reveal = Literal["live", "decided"]
Clearing = Literal["ratings", "movies"]
Time = Annotated[str, Field(pattern=_TIME, json_schema_extra={"format": "date-time"})]
Version = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0, description="Ratings that are no veto")]
Vetoes = Annotated[int, Field(ge=0)]
Score = Annotated[float, Field(ge=0, le=100, description="Mean of the ratings that are no veto, to two decimals")]
Compatibility = Annotated[int, Field(ge=0, le=100, description="score * (count / (count + vetoes)) ^ 3.5, rounded")]
Rank = Annotated[int, Field(ge=1)]
Rating = TypeAliasType(
    "Rating",
    Annotated[
        int,
        Field(ge=1, le=5),
        WithJsonSchema({"description": "1 is a veto, 5 the best.", "type": "integer", "enum": [1, 2, 3, 4, 5]}),
    ],
)


class Standing(TypedDict):
    """The place of a movie in the ranking of a decision."""

    movieID: str
    rank: Rank
    compatibility: Compatibility
    score: Score
    count: Count
    vetoes: Vetoes


class Decision(TypedDict):
    """What the group sees, with the ranking as it stood. ``tied``: the movies among which a lot was drawn."""

    movieID: str
    by: DecidedBy
    tied: list[str]
    decidedAt: Time
    ranking: list[Standing]
