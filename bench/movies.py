"""Movies of the size of real ones, with texts that compress as badly: words and paths of posters are drawn."""

from __future__ import annotations

from random import Random
from string import ascii_letters, ascii_lowercase, digits
from typing import Final

__all__ = ["draw_movies"]

_WORDS: Final = 3000
_TITLE_CHARACTERS: Final = 33
_OVERVIEW_CHARACTERS: Final = 182
_POSTER_CHARACTERS: Final = 30


def draw_movies(count: int) -> list[dict[str, object]]:
    """Return the bodies of so many movies, the same in each run."""
    draw = Random(1)
    words = ["".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9))) for _ in range(_WORDS)]
    return [_movie(number, words, draw) for number in range(count)]


def _movie(number: int, words: list[str], draw: Random) -> dict[str, object]:
    poster = "".join(draw.choices(ascii_letters + digits, k=_POSTER_CHARACTERS))
    return {
        "id": f"m{number}",
        "title": _text(words, _TITLE_CHARACTERS, draw).title(),
        "year": 1960 + number,
        "posterUrl": f"https://image.example.org/t/p/w500/{poster}.jpg",
        "overview": _text(words, _OVERVIEW_CHARACTERS, draw),
        "genres": ["Drama", "Adventure"],
    }


def _text(words: list[str], size: int, draw: Random) -> str:
    return " ".join(draw.choices(words, k=size // 2))[:size]
