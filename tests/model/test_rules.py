"""What a deployment lets sessions be, up to the last second, participant and byte."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from app.sessions.errors import CATALOGUE, SessionError
from app.sessions.payloads import MovieDetails
from app.sessions.rules import Rules, milliseconds

RULES: Final = Rules(
    decide_delay=10,
    lifetime=600,
    min_lifetime=60,
    max_lifetime=3600,
    unjoined_lifetime=100,
    code_rest=600,
    capacity=3,
    max_capacity=10,
    max_movies=2,
    max_movies_bytes=200,
    grace=60,
    leaver_ratings="keep",
    second_connection="allow",
    miss_budget=20,
    miss_budget_total=6000,
    create_budget=60,
    max_sessions=1000,
    max_sessions_per_address=1000,
)
A: Final = MovieDetails(id="a", title="A", poster_url="https://a")
B: Final = MovieDetails(id="b", title="B")
C: Final = MovieDetails(id="c", title="C")


@pytest.mark.parametrize("seconds", [None, 60, 3600])
def test_a_lifetime_within_the_limits_is_taken(seconds: float | None) -> None:
    assert RULES.allowed_lifetime(seconds) == seconds


@pytest.mark.parametrize(("seconds", "why"), [(59.9, "60 seconds or more"), (3600.1, "3600 seconds or less")])
def test_a_lifetime_beyond_the_limits_is_refused(seconds: float, why: str) -> None:
    with pytest.raises(SessionError, match=f"invalid-payload: Lifetime must be {why}"):
        RULES.allowed_lifetime(seconds)


@pytest.mark.parametrize(("unjoined", "lasts"), [(0, None), (0.5, 0.5), (599, 599), (600, None), (700, None)])
def test_until_somebody_joins_a_session_lives_for_less_if_that_is_set(unjoined: float, lasts: float | None) -> None:
    rules = replace(RULES, unjoined_lifetime=unjoined)
    assert rules.lifetime_unjoined(None) == lasts
    assert rules.lifetime_unjoined(600) is None, "whoever asks for a lifetime gets it"


def test_a_capacity_is_taken_up_to_the_highest() -> None:
    assert (RULES.allowed_capacity(None), RULES.allowed_capacity(10)) == (None, 10)
    with pytest.raises(SessionError, match="invalid-payload: Capacity must be 10 or less"):
        RULES.allowed_capacity(11)


def test_movies_are_taken_once_each_as_many_as_a_session_holds() -> None:
    again = MovieDetails(id="a", title="Another")
    movies = RULES.allowed_movies([A, B, again])
    assert [(movie.id, movie.details) for movie in movies] == [
        ("a", '{"id":"a","title":"A","posterUrl":"https://a"}'),
        ("b", '{"id":"b","title":"B"}'),
    ]
    with pytest.raises(SessionError, match="limit-reached: A session holds at most 2 movies"):
        RULES.allowed_movies([A, B, C])


def test_movies_are_taken_up_to_so_many_bytes_together() -> None:
    bytes_ = sum(len(movie.details.encode()) for movie in RULES.allowed_movies([A, B]))
    assert len(replace(RULES, max_movies_bytes=bytes_).allowed_movies([A, B])) == 2
    with pytest.raises(SessionError, match="limit-reached: The movies are too large together"):
        replace(RULES, max_movies_bytes=bytes_ - 1).allowed_movies([A, B])


@pytest.mark.parametrize(("seconds", "expected"), [(0, 1), (0.0001, 1), (1, 1000), (1.0016, 1002)])
def test_a_duration_has_a_millisecond_at_least(seconds: float, expected: int) -> None:
    assert milliseconds(seconds) == expected


def test_an_error_says_what_its_code_says_unless_more_can_be_said() -> None:
    plain = SessionError("unavailable", retry_after=3)
    assert (plain.message, plain.status, plain.retryable, plain.retry_after) == ("Service unavailable", 503, True, 3)
    assert str(plain) == "unavailable: Service unavailable"
    assert SessionError("forbidden", "Not you").message == "Not you"


def test_a_repeat_may_help_after_these_errors_only() -> None:
    assert {code for code, kind in CATALOGUE.items() if kind.retryable} == {
        "request-timeout",
        "too-many-requests",
        "join-failed",
        "unavailable",
        "outcome-unknown",
        "codes-exhausted",
    }
