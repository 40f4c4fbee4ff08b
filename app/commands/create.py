"""``create``: create a session."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from app.commands import options
from app.commands.api import ask
from app.commands.command import command
from app.commands.configuration import configuration
from app.commands.exits import OK
from app.commands.failures import Failure
from app.commands.movies import movies_option

__all__ = ["create_command"]

# The options by the fields of the request.
_OPTIONS: Final = {
    "title": "--title",
    "capacity": "--capacity",
    "ttlSeconds": "--ttl",
    "movies": "--movies",
    "passcode": "--passcode",
}


@command(
    "join-session create --title Friday",
    "join-session create --movies movies.txt --show-token",
    "printf 'Alien (1979)\\nHeat\\n' | join-session create --movies -",
)
@click.option("--title", help="Title of the session.")
@click.option("--capacity", metavar="N", type=int, help="Maximum number of participants.")
@click.option("--ttl", metavar="S", type=float, help="Seconds until the idle session expires.")
@movies_option
@options.passcode
@click.option("--show-token", is_flag=True, help="Also print the host token.")
@options.service_url
@options.as_json
def create_command(url: str, as_json: bool, show_token: bool, ttl: float | None, **fields: Any) -> int:
    """Create a session and print its code and link.

    The host token, which grants the host's rights, is printed with --json or --show-token only. JOIN_SESSION_CREATE_KEY
    is sent if it is set.
    """
    key = configuration().create_key
    body = {name: value for name, value in (fields | {"ttlSeconds": ttl}).items() if value is not None}
    try:
        made = ask(
            "POST", f"{url}/api/session/create", body=body, token=key.get_secret_value() if key is not None else None
        )
    except Failure as error:
        raise Failure(error.message + _place(error.field), error.code, error.field) from error
    if as_json:
        print(json.dumps(made))
        return OK
    code, token = made["sessionID"], made["hostToken"]
    print(f"code        {code}")
    print(f"link        {url}/#{code}")
    print(f"host token  {token if show_token else '********  (--show-token shows it)'}")
    return OK


def _place(field: str | None) -> str:
    """Return the option by which a field was given, and the entry of its list."""
    first, *rest = (field or "").split(".")
    if first not in _OPTIONS:
        return ""
    return f" ({_OPTIONS[first]}, entry {int(rest[0]) + 1})" if rest else f" ({_OPTIONS[first]})"
