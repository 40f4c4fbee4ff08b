"""``version`` and ``help``."""

from __future__ import annotations

import json

import click

from app import __version__
from app.commands.command import command
from app.commands.exits import OK
from app.commands.options import as_json
from app.commands.program import program

__all__ = ["help_command", "version_command"]


@command("join-session version")
@as_json
def version_command(as_json: bool) -> int:
    """Print the version of this program."""
    print(json.dumps({"version": __version__}) if as_json else f"join-session {__version__}")
    return OK


@command("join-session help create")
@click.argument("command", required=False)
@click.pass_context
def help_command(context: click.Context, command: str | None) -> int:
    """Print the help of a command, or of the program."""
    root = context.find_root()
    if command is None:
        print(root.get_help())
        return OK
    name, found, _ = program.resolve_command(root, [command])
    with click.Context(found, root, name) as shown:
        print(shown.get_help())
    return OK
