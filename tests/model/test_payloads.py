"""What a body costs before it is taken or refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.sessions.errors import SessionError
from app.sessions.names import clean_text
from app.sessions.payloads import AddMovies, CreateSession, parse


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
    with pytest.raises(SessionError, match=r"movies\.0\.title"):
        parse(model, {"movies": movies})
    assert len(looked_at) == 2
