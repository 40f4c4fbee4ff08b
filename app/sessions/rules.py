"""The limits of a deployment."""

from __future__ import annotations

from dataclasses import dataclass

from app.sessions.errors import SessionError
from app.sessions.payloads import MovieDetails
from app.sessions.steps import NewMovie
from app.sessions.validation import invalid

__all__ = ["Rules", "milliseconds"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the deployment, named after the settings. Times are in seconds.

    The methods raise ``SessionError`` for values that are not allowed.
    """

    lifetime: float
    min_lifetime: float
    max_lifetime: float
    unjoined_lifetime: float
    code_rest: float
    capacity: int
    max_capacity: int
    max_movies: int
    max_movies_bytes: int
    grace: float
    leaver_ratings: str
    decide_delay: float
    second_connection: str
    miss_budget: int
    miss_budget_total: int
    create_budget: int
    max_sessions: int
    max_sessions_per_address: int

    def allowed_lifetime(self, seconds: float | None) -> float | None:
        if seconds is not None and seconds < self.min_lifetime:
            raise invalid("ttlSeconds", f"must be {self.min_lifetime:g} seconds or more")
        if seconds is not None and seconds > self.max_lifetime:
            raise invalid("ttlSeconds", f"must be {self.max_lifetime:g} seconds or less")
        return seconds

    def allowed_decision_time(self, seconds: float | None) -> float | None:
        if seconds is not None and seconds > self.max_lifetime:
            raise invalid("decideInSeconds", f"must be {self.max_lifetime:g} seconds or less")
        return seconds

    def lifetime_unjoined(self, asked_for: float | None) -> float | None:
        """Return the lifetime until the first join, None if it is not shorter than the normal lifetime."""
        shorter = 0 < self.unjoined_lifetime < self.lifetime
        return self.unjoined_lifetime if shorter and asked_for is None else None

    def allowed_capacity(self, capacity: int | None) -> int | None:
        if capacity is not None and capacity > self.max_capacity:
            raise invalid("capacity", f"must be {self.max_capacity} or less")
        return capacity

    def allowed_movies(self, movies: list[MovieDetails]) -> list[NewMovie]:
        """Return the movies for the store, each id once."""
        unique: dict[str, MovieDetails] = {}
        for movie in movies:
            unique.setdefault(movie.id, movie)
        if len(unique) > self.max_movies:
            raise SessionError("limit-reached", f"A session holds at most {self.max_movies} movies")
        new = [NewMovie(movie.id, movie.model_dump_json(by_alias=True, exclude_none=True)) for movie in unique.values()]
        if sum(len(movie.details.encode()) for movie in new) > self.max_movies_bytes:
            raise SessionError("limit-reached", "The movies are too large together")
        return new


def milliseconds(seconds: float) -> int:
    """Convert a duration for the store."""
    return max(1, round(seconds * 1000))
