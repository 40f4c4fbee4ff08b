"""Movies as people write them: one a line, or as JSON."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

__all__ = ["find_movie", "movie_of", "movies_option", "read_movies"]

_WITH_YEAR: Final = re.compile(r"(.*\S)\s*\((\d{4})\)")
_MAX_ID: Final = 64


def movie_of(line: str) -> dict[str, Any]:
    """Return the movie that a line such as ``Alien (1979)`` names. The same line always gives the same id."""
    found = _WITH_YEAR.fullmatch(line)
    title, year = found.groups() if found else (line, None)
    words = "-".join(re.findall(r"\w+", line.casefold()))
    digest = hashlib.sha256(line.encode()).hexdigest()[:12]
    movie: dict[str, Any] = {"id": words if 0 < len(words) <= _MAX_ID else digest, "title": title}
    return movie | {"year": int(year)} if year else movie


def read_movies(text: str) -> list[Any]:
    """Return the movies of a text: a JSON list, or a title in each line. Raises ValueError for invalid JSON."""
    if text.lstrip().startswith("["):
        movies: list[Any] = json.loads(text)
        return movies
    return [movie_of(line.strip()) for line in text.splitlines() if line.strip()]


def find_movie(movies: Sequence[dict[str, Any]], text: str) -> dict[str, Any]:
    """Return the movie of this id or title, or the only one with the text in its title. Raises ValueError."""
    wanted = text.strip().casefold()
    named = {
        movie["id"]: {name.casefold() for name in (movie["id"], movie["title"], _titled(movie))} for movie in movies
    }
    found = [movie for movie in movies if wanted in named[movie["id"]]]
    found = found or [movie for movie in movies if wanted in movie["title"].casefold()]
    if not found:
        raise ValueError(f"There is no movie {text}")
    if len(found) > 1:
        raise ValueError(f"{text} may be {', '.join(map(_titled, found))}")
    return found[0]


def _titled(movie: dict[str, Any]) -> str:
    return f"{movie['title']} ({movie['year']})" if "year" in movie else str(movie["title"])


def _read(context: click.Context, parameter: click.Parameter, name: str | None) -> list[Any] | None:
    if name is None or context.resilient_parsing:
        return None
    try:
        return read_movies(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{name} is not UTF-8.") from error
    except ValueError as error:
        raise click.BadParameter(f"{name} is not valid JSON: {error}.") from error


movies_option: Final = click.option(
    "--movies",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    callback=_read,
    help="Movies: one title in each line, such as 'Alien (1979)', or a JSON list of {id, title, ...}; "
    "- reads standard input.",
)
