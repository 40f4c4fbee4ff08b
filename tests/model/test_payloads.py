"""What is taken of a client, what is refused, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.sessions.errors import SessionError
from app.sessions.names import clean_text
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    KickParticipant,
    MovieReference,
    Payload,
    UpdateSession,
    Vote,
    parse,
)


@pytest.mark.parametrize("model", [CreateSession, AddMovies])
def test_a_list_of_movies_is_refused_at_the_first_that_is_wrong(
    model: type[CreateSession | AddMovies], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    def noting(text: str, longest: int) -> str:
        looked_at.append(text)
        return clean_text(text, longest)

    monkeypatch.setattr("app.sessions.payloads.clean_text", noting)
    movies: list[dict[str, Any]] = [{"id": f"m{number}", "title": "\u0316" * 200} for number in range(100)]
    with pytest.raises(SessionError, match="Title must"):
        parse(model, {"movies": movies})
    assert len(looked_at) == 2
    looked_at.clear()
    with pytest.raises(SessionError, match="Genre 1 must"):
        parse(model, {"movies": [{"id": "m", "title": "x", "genres": ["\u0316" * 40] * 20}]})
    assert len(looked_at) == 3


@pytest.mark.parametrize("text", ["a", "...", "a.b", "a:b", "ü", "x" * 64, "two words"])
def test_an_id_is_any_short_text(text: str) -> None:
    assert parse(MovieReference, {"movieID": text}).movie_id == text


@pytest.mark.parametrize("text", ["", ".", "..", "a|b", "a/b", " a", "a ", "u\u0308", "a\nb", "x" * 65])
def test_an_id_stands_in_urls_and_between_bars(text: str) -> None:
    with pytest.raises(SessionError, match="invalid-payload: Movie ID must"):
        parse(MovieReference, {"movieID": text})


def test_a_poster_is_at_an_https_url() -> None:
    movie = {"id": "m", "title": "x"}
    posters = ("https://example.org", "https://example.org/a/ü.jpg?b=1#c")
    for poster in posters:
        assert parse(AddMovies, {**movie, "posterUrl": poster}).movies[0].poster_url == poster
    for poster in ("http://example.org/a.jpg", "https://", "https:///a.jpg", "https://example.org/a b", "javascript:x"):
        with pytest.raises(SessionError, match=r"invalid-payload: Poster URL must be an https URL"):
            parse(AddMovies, {**movie, "posterUrl": poster})


@pytest.mark.parametrize("rating", ["5", 5.0, True, None, 0, 6])
def test_a_rating_is_a_whole_number_and_nothing_that_could_be_read_as_one(rating: object) -> None:
    with pytest.raises(SessionError, match="invalid-payload: Rating must"):
        parse(Vote, {"movieID": "m", "rating": rating})


def test_one_movie_by_itself_is_a_list_of_one() -> None:
    movie = {"id": "m", "title": "x"}
    one = parse(AddMovies, {**movie, "mid": "k"})
    assert one == parse(AddMovies, {"movies": [movie], "mid": "k"})
    assert (len(one.movies), one.mid) == (1, "k")
    many = parse(AddMovies, {"movies": [movie, movie], "id": "other", "title": "y"})
    assert [movie.id for movie in many.movies] == ["m", "m"]
    for data in ({}, {"title": "x"}, {"mid": "k"}):
        with pytest.raises(SessionError, match="invalid-payload: Movies must be given"):
            parse(AddMovies, data)


def test_nobody_is_banned_unless_that_is_said() -> None:
    assert parse(KickParticipant, {"participantID": "p"}).ban is False
    assert parse(KickParticipant, {"participantID": "p", "ban": True}).ban is True


@pytest.mark.parametrize("model", [CreateSession, UpdateSession])
@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_lifetime_is_a_positive_number(model: type[Payload], seconds: float) -> None:
    with pytest.raises(SessionError, match="invalid-payload: Lifetime must"):
        parse(model, {"ttlSeconds": seconds})


def test_no_error_tells_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        Vote.model_validate({"movieID": "m", "rating": "my secret"})
    assert "my secret" not in str(refused.value)
