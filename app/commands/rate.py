"""``rate``: rate a movie of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from app.commands import options
from app.commands.command import command
from app.commands.exits import OK
from app.commands.failures import Failure
from app.commands.movies import find_movie
from app.commands.visits import visit
from app.terminal import printable

if TYPE_CHECKING:
    from app.client.participant import Participant

__all__ = ["RATINGS", "rate_command"]

RATINGS: Final[dict[str, int | None]] = {"veto": 1, "none": None, **{str(rating): rating for rating in range(1, 6)}}
"""The ratings that people type. None withdraws a rating."""


@command(
    "join-session rate 123456 Alien 5 --name Ada",
    "join-session rate 123456 'Heat (1995)' veto --token TOKEN",
)
@options.session
@click.argument("movie", help="Title of the movie, a part of it, or its id.")
@click.argument("rating", type=click.Choice([*RATINGS]), help="1 (a veto) to 5; none withdraws the rating.")
@options.name
@options.passcode
@options.token
@options.as_json
def rate_command(
    url: str,
    code: str,
    movie: str,
    rating: str,
    name: str | None,
    passcode: str | None,
    token: str | None,
    as_json: bool,
) -> int:
    """Rate a movie of a session.

    Without --token this joins as another participant, whose rating stays; --json prints the token, by which the next
    command can be the same one.
    """
    title = movie

    async def change(participant: Participant, movies: list[dict[str, Any]]) -> dict[str, Any]:
        nonlocal title
        try:
            found = find_movie(movies, movie)
        except ValueError as error:
            raise Failure(str(error), "movie-not-found") from error
        title = found["title"]
        return await participant.rate(found["id"], RATINGS[rating])

    done = visit(url, code, {"name": name, "passcode": passcode, "token": token}, change)
    print(json.dumps(done) if as_json else printable(f"{title}: {rating}"))
    return OK
