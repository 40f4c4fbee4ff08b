"""``check``: whether a session exists."""

from __future__ import annotations

import json

from app.commands import options
from app.commands.api import ask
from app.commands.command import command
from app.commands.exits import OK
from app.commands.times import when
from app.terminal import printable

__all__ = ["check_command"]


@command(
    "join-session check 123456",
    "join-session check https://movies.example/#123456",
    "join-session check 123456 --json | jq .sessionData.movies",
)
@options.session
@options.as_json
def check_command(url: str, code: str, as_json: bool) -> int:
    """Check whether a session exists.

    This is what clients do before they connect. It changes nothing. The exit code is 1 if the session does not exist.
    """
    found = ask("POST", f"{url}/api/session/join", body={"sessionID": code})
    if as_json:
        print(json.dumps(found))
        return OK
    data = found["sessionData"]
    print(printable(f"Session {found['sessionID']} exists, created {when(data['createdAt'])}."))
    people, movies = len(data["participants"]), len(data["movies"])
    print(f"{people} participant{'s' * (people != 1)}, {movies} movie{'s' * (movies != 1)}")
    return OK
