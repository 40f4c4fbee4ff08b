"""``openapi``, ``asyncapi``, ``types``: print the documents of the API."""

from __future__ import annotations

import json

from app.commands.command import command
from app.commands.exits import OK

__all__ = ["asyncapi_command", "openapi_command", "types_command"]


@command("join-session openapi > openapi.json")
def openapi_command() -> int:
    """Print the OpenAPI 3.1 document of the HTTP API as JSON."""
    from app.documents import openapi

    print(json.dumps(openapi.openapi(), indent=2))
    return OK


@command("join-session asyncapi > asyncapi.json")
def asyncapi_command() -> int:
    """Print the AsyncAPI 3 document of the Socket.IO API as JSON."""
    from app.documents import asyncapi

    print(json.dumps(asyncapi.asyncapi(), indent=2))
    return OK


@command("join-session types > join-session.d.ts")
def types_command() -> int:
    """Print TypeScript types for both APIs."""
    from app.documents.typescript import typescript

    print(typescript(), end="")
    return OK
