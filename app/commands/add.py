"""``add``: add movies to a session."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from app.commands import options
from app.commands.command import command
from app.commands.exits import OK
from app.commands.movies import movie_of, movies_option
from app.commands.visits import visit
from app.terminal import printable

if TYPE_CHECKING:
    from app.client.participant import Participant

__all__ = ["add_command"]


@command(
    "join-session add 123456 'Alien (1979)' Heat",
    "join-session add 123456 --movies movies.txt",
    "grep -i space movies.txt | join-session add 123456 -",
)
@options.session
@click.argument("titles", nargs=-1, metavar="[TITLE]...", help="Titles, such as 'Alien (1979)'; - reads lines.")
@movies_option
@options.name
@options.passcode
@options.token
@options.as_json
def add_command(
    url: str,
    code: str,
    titles: tuple[str, ...],
    movies: list[Any] | None,
    name: str | None,
    passcode: str | None,
    token: str | None,
    as_json: bool,
) -> int:
    """Add movies to a session.

    A title that is on the list already is not added again. Without --token this joins as another participant; --json
    prints the token, by which the next command can be the same one.
    """
    lines = [line for title in titles for line in (sys.stdin if title == "-" else [title])]
    wanted = (movies or []) + [movie_of(line.strip()) for line in lines if line.strip()]
    if not wanted:
        raise click.UsageError("No movies are given: name their titles, or use --movies.")

    async def change(participant: Participant, _: list[dict[str, Any]]) -> dict[str, Any]:
        return await participant.do("add-movie", movies=wanted)

    done = visit(url, code, {"name": name, "passcode": passcode, "token": token}, change)
    if as_json:
        print(json.dumps(done))
        return OK
    shown = {movie["id"]: movie["title"] for movie in wanted}
    for text, ids in (("Added", done["added"]), ("On the list already", done["present"])):
        if ids:
            print(printable(f"{text}: {', '.join(shown[each] for each in ids)}"))
    return OK
