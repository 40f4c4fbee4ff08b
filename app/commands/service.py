"""``serve`` and ``check-config``: run and configure the service."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from app.commands.command import command
from app.commands.configuration import configuration
from app.commands.exits import OK
from app.commands.failures import Failure, MisconfiguredError
from app.commands.imports import quick_imports

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["check_config_command", "serve_command"]

_env_file: Final = click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read settings from FILE instead of .env.",
)


@command(
    "join-session serve",
    "JOIN_SESSION_REDIS_URL=redis://localhost:6379 JOIN_SESSION_PORT=8081 join-session serve",
)
@_env_file
def serve_command(env_file: Path | None) -> int:
    """Run the service until SIGTERM or SIGINT.

    It then moves its clients to other replicas, or closes their connections, and exits with code 0.
    """
    with quick_imports():
        settings = _settings(env_file)
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
        raise Failure(f"cannot serve: {error}", code="cannot-serve") from error


@command(
    "join-session check-config",
    "join-session check-config --env-file production.env",
)
@_env_file
@click.option("--reference", is_flag=True, help="Print the reference of all settings (Markdown).")
def check_config_command(env_file: Path | None, reference: bool) -> int:
    """Print the configuration, secrets masked, or all of its errors."""
    if reference:
        from app import settings_reference

        print(settings_reference.reference(), end="")
        return OK
    for name, value in _settings(env_file).shown().items():
        print(f"{name}={value}")
    return OK


def _settings(env_file: Path | None) -> Settings:
    from app.redis_client.url import parse_url

    settings = configuration(env_file)
    if settings.redis_url is not None:
        try:
            parse_url(settings.redis_url.get_secret_value())
        except ValueError as error:
            raise MisconfiguredError(f"JOIN_SESSION_REDIS_URL: {error}") from error
    return settings
