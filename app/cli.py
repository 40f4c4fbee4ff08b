"""The command line.

Exit codes: 0 success, 1 failure, 2 usage or configuration error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from app import __version__
from app.commands.documents import add_document_commands
from app.commands.exits import USAGE_ERROR
from app.commands.load import add_load_commands
from app.commands.operators import add_operator_commands
from app.commands.people import add_people_commands
from app.commands.service import add_service_commands
from app.settings import PREFIX, SettingsError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (default: those of the process) name; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="join-session",
        description="People join a session with a code and rate movies together: HTTP API and Socket.IO, with state in "
        "Redis.",
        epilog=f"Settings are environment variables {PREFIX}*, or lines of a file .env; docs/configuration.md lists "
        "them. Exit codes: 0 success, 1 failure, 2 usage or configuration error.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_service_commands(commands)
    add_operator_commands(commands)
    add_people_commands(commands)
    add_load_commands(commands)
    add_document_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
