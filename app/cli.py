"""The command line: `join-session serve`, `check-config`, and `openapi`, `asyncapi`, `types` for the API's documents.

Exit codes: 0 done, 1 failed while running, 2 wrong configuration or wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app import __version__
from app.settings import PREFIX, Settings, SettingsError, load_settings

__all__ = ["main"]

OK: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: those of the process) name; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return MISCONFIGURED
    return code


def serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, then send the clients away and exit 0."""
    settings = _settings(options)
    # The server's libraries take half a second to import, which the other commands need not wait for.
    import uvloop

    from app.observability.logging import configure_logging
    from app.server import serve as serve_until_stopped
    from app.store.embedded import NoServerError

    configure_logging(settings)
    try:
        return uvloop.run(serve_until_stopped(settings, _welcome if settings.redis_url is None else None))
    except (OSError, NoServerError) as error:
        print(f"join-session cannot serve: {error}", file=sys.stderr)
        return FAILED


def _welcome(address: str, code: str) -> None:
    print(f"\nReady: {address}\nSession {code} waits for you:\n", flush=True)
    body = f"""'{{"sessionID":"{code}"}}'"""
    print(f"  curl -X POST {address}/api/session/join -d {body}\n", flush=True)


def check_config(options: argparse.Namespace) -> int:
    """Print the effective configuration with secrets masked, or everything that is wrong with it."""
    if options.reference:
        from app.settings_reference import reference

        print(reference(), end="")
        return OK
    for name, value in _settings(options).shown().items():
        print(f"{name}={value}")
    return OK


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="join-session",
        description="A service in which people join a shared session and rate movies together: HTTP and Socket.IO on "
        "Redis.",
        epilog=f"Settings are environment variables {PREFIX}*, or lines of a file .env; docs/configuration.md lists "
        "them. Exit codes: 0 done, 1 failed while running, 2 wrong configuration or wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument("--env-file", metavar="FILE", type=_file, help="read settings from FILE instead of .env")

    command = commands.add_parser("serve", parents=[configured], help="run the service", description=serve.__doc__)
    command.set_defaults(command=serve)

    command = commands.add_parser(
        "check-config", parents=[configured], help="check and print the configuration", description=check_config.__doc__
    )
    command.add_argument("--reference", action="store_true", help="print the reference of all settings (Markdown)")
    command.set_defaults(command=check_config)

    for name, run, text in (
        ("openapi", openapi, "print the document of the HTTP API"),
        ("asyncapi", asyncapi, "print the document of the Socket.IO side"),
        ("types", types, "print the TypeScript types of both"),
    ):
        command = commands.add_parser(name, help=text, description=run.__doc__)
        command.set_defaults(command=run)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    from app.store.url import parse_url

    settings = load_settings(options.env_file or Path(".env"))
    if settings.redis_url is not None:
        try:
            parse_url(settings.redis_url.get_secret_value())
        except ValueError as error:
            raise SettingsError([f"{PREFIX}REDIS_URL: {error}"]) from error
    return settings


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


if __name__ == "__main__":
    sys.exit(main())
