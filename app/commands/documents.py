"""`openapi`, `asyncapi`, `types`: the API's documents, for whoever programs against it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from app.commands.exits import OK

__all__ = ["add_document_commands"]


def add_document_commands(commands: Any) -> None:
    for name, run, text in (
        ("openapi", openapi, "print the document of the HTTP API"),
        ("asyncapi", asyncapi, "print the document of the Socket.IO side"),
        ("types", types, "print the TypeScript types of both"),
    ):
        command = commands.add_parser(name, help=text, description=run.__doc__)
        command.set_defaults(command=run)


def openapi(options: argparse.Namespace) -> int:
    """Print the document of the HTTP API, OpenAPI 3.1 as JSON."""
    from app.documents import openapi

    print(json.dumps(openapi.openapi(), indent=2))
    return OK


def asyncapi(options: argparse.Namespace) -> int:
    """Print the document of the Socket.IO side, AsyncAPI 3 as JSON."""
    from app.documents import asyncapi

    print(json.dumps(asyncapi.asyncapi(), indent=2))
    return OK


def types(options: argparse.Namespace) -> int:
    """Print the TypeScript types of both."""
    from app.documents.typescript import typescript

    print(typescript(), end="")
    return OK
