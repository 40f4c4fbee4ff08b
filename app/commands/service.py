"""``serve`` and ``check-config``: run and configure the service."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from app.commands.exits import FAILED, OK
from app.commands.imports import quick_imports
from app.settings import PREFIX, Settings, SettingsError, load_settings

__all__ = ["add_service_commands"]


def add_service_commands(commands: Any) -> None:
    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument("--env-file", metavar="FILE", type=_file, help="read settings from FILE instead of .env")

    command = commands.add_parser("serve", parents=[configured], help="run the service", description=serve.__doc__)
    command.set_defaults(command=serve)

    command = commands.add_parser(
        "check-config", parents=[configured], help="check and print the configuration", description=check_config.__doc__
    )
    command.add_argument("--reference", action="store_true", help="print the reference of all settings (Markdown)")
    command.set_defaults(command=check_config)


def serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, then drain and exit with code 0."""
    settings = _settings(options)
    # The server's libraries take half a second to import, which would delay the other commands.
    with quick_imports():
        import uvloop

        from app.commands.welcome import welcome
        from app.observability.logging import configure_logging
        from app.redis_client.embedded import NoServerError
        from app.replica.process import serve as serve_until_stopped

    configure_logging(settings)
    greeting = functools.partial(welcome, settings.host, demo=settings.demo)
    try:
        return uvloop.run(serve_until_stopped(settings, greeting if settings.redis_url is None else None))
    except (OSError, NoServerError) as error:
        print(f"join-session cannot serve: {error}", file=sys.stderr)
        return FAILED


def check_config(options: argparse.Namespace) -> int:
    """Print the effective configuration with secrets masked, or all of its errors."""
    if options.reference:
        from app.settings_reference import reference

        print(reference(), end="")
        return OK
    for name, value in _settings(options).shown().items():
        print(f"{name}={value}")
    return OK


def _settings(options: argparse.Namespace) -> Settings:
    from app.redis_client.url import parse_url

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
