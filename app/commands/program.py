"""The whole command line: all commands in groups, each imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from app import __version__
from app.commands.command import write_examples

__all__ = ["program"]

# By the heading in the help: each command with its module in ``app.commands``.
_GROUPS: Final = {
    "Sessions": {
        "create": "create",
        "check": "check",
        "join": "join",
        "watch": "watch",
        "add": "add",
        "rate": "rate",
    },
    "Service": {
        "serve": "service",
        "check-config": "service",
        "load": "load",
        "capacity": "capacity",
    },
    "Operators": {
        "list": "operators",
        "show": "operators",
        "end": "operators",
        "kick": "operators",
        "drain": "operators",
    },
    "API documents": {
        "openapi": "documents",
        "asyncapi": "documents",
        "types": "documents",
    },
    "This program": {
        "completion": "completion",
        "help": "about",
        "version": "about",
    },
}
_MODULES: Final = {name: module for commands in _GROUPS.values() for name, module in commands.items()}
_EXAMPLES: Final = (
    "join-session serve                     # the service on http://localhost:8080",
    "join-session create --title Friday     # a session; prints its code and link",
    "join-session join 123456               # take part in it in the terminal",
    "join-session help create               # more examples; each command has some",
)
_WIDEST: Final = 64


class _Program(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"app.commands.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=_MODULES, ctx=ctx) from None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, _EXAMPLES)
        super().format_help_text(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in _GROUPS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, command.get_short_help_str(_WIDEST)) for name, command in commands if command]
                )


program: Final = _Program(
    help="People join a session with a code and rate movies together.",
    epilog="Settings of the service are environment variables JOIN_SESSION_*, or lines of a file .env; see "
    "check-config --reference. Exit codes: 0 success, 1 failure, 2 usage or configuration error.",
    subcommand_metavar="COMMAND",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")(program)
