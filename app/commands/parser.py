"""The parser of the command line: all commands with their options."""

from __future__ import annotations

import argparse

from app import __version__
from app.commands.capacity import add_capacity_command
from app.commands.documents import add_document_commands
from app.commands.load import add_load_commands
from app.commands.operators import add_operator_commands
from app.commands.people import add_people_commands
from app.commands.service import add_service_commands
from app.settings import PREFIX

__all__ = ["parser"]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; its options have the function to run as ``command``."""
    whole = argparse.ArgumentParser(
        prog="join-session",
        description="People join a session with a code and rate movies together. HTTP API, Socket.IO, state in Redis.",
        epilog=f"Settings are environment variables {PREFIX}* or lines of a file .env; see docs/configuration.md. "
        "Exit codes: 0 success, 1 failure, 2 usage or configuration error.",
    )
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_service_commands(commands)
    add_operator_commands(commands)
    add_people_commands(commands)
    add_load_commands(commands)
    add_capacity_command(commands)
    add_document_commands(commands)
    return whole
