"""``join``: take part in a session in the terminal."""

from __future__ import annotations

import asyncio
import sys

import click

from app.commands import options
from app.commands.command import command
from app.commands.exits import OK
from app.commands.failures import Failure

__all__ = ["join_command"]


@command(
    "join-session join 123456 --name Ada",
    "join-session join https://movies.example/#123456",
    "JOIN_SESSION_TOKEN=TOKEN join-session join 123456    # the host, by the token of `create --show-token`",
)
@options.session
@options.name
@options.passcode
@options.token
def join_command(url: str, code: str, name: str | None, passcode: str | None, token: str | None) -> int:
    """Take part in a session in the terminal.

    It shows the ranking live. Type help for what you can do: add and rate movies, decide. It asks for the passcode of a
    session that has one. Ctrl-C and Ctrl-D leave the session.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "This needs a terminal. In scripts use check, add and rate; watch prints what happens in a session."
        )
    from app.client.participant import CannotJoinError

    while True:
        try:
            asyncio.run(_join(url, code, {"name": name, "passcode": passcode, "token": token}))
        except CannotJoinError as error:
            if error.code not in ("passcode-required", "passcode-wrong"):
                raise Failure(str(error), error.code) from error
            print(error, file=sys.stderr)
            passcode = click.prompt("Passcode", hide_input=True, err=True)
            continue
        except OSError as error:
            raise Failure(f"the terminal is gone: {error.strerror}", "no-terminal") from error
        return OK


async def _join(url: str, code: str, identity: dict[str, str | None]) -> None:
    from app.client.participant import Participant
    from app.commands.interactive.session import InteractiveSession

    await InteractiveSession(Participant(url, code, **identity)).run()
