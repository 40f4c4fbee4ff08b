"""``openapi``, ``asyncapi``, ``types``: print the documents of the API."""

from __future__ import annotations

import argparse
import json
from typing import Any

from app.commands.exits import OK

__all__ = ["add_document_commands"]


def add_document_commands(commands: Any) -> None:
    for name, run, text in (
        ("openapi", openapi, "print the document of the HTTP API"),
        ("asyncapi", asyncapi, "print the document of the Socket.IO API"),
        ("types", types, "print TypeScript types for both APIs"),
    ):
        command = commands.add_parser(name, help=text, description=run.__doc__)
        command.set_defaults(command=run)


def openapi(options: argparse.Namespace) -> int:
    """Print the OpenAPI 3.1 document of the HTTP API as JSON."""
    from app.documents import openapi

    print(json.dumps(openapi.openapi(), indent=2))
    return OK


def asyncapi(options: argparse.Namespace) -> int:
    """Print the AsyncAPI 3 document of the Socket.IO API as JSON."""
    from app.documents import asyncapi

    print(json.dumps(asyncapi.asyncapi(), indent=2))
    return OK


def types(options: argparse.Namespace) -> int:
    """Print TypeScript types for both APIs."""
    from app.documents.typescript import typescript

    print(typescript(), end="")
    return OK
