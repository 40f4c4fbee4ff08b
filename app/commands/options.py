"""Options that several commands have."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

__all__ = ["as_json", "http_url", "name", "number", "passcode", "service_url", "session", "token"]

_URL: Final = "http://localhost:8080"


def http_url(text: str) -> str:
    """Parse the service's address, for click: no trailing slash, query or credentials."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.username
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise click.BadParameter(f"{text} is not an address such as {_URL}.")
    return text.rstrip("/")


def number(parse: Callable[[str], float], least: float, most: float = float("inf")) -> Callable[[str], float]:
    """Return a parser of numbers from ``least`` to ``most``, for click."""

    def parsed(text: str) -> float:
        try:
            value = parse(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most or value == float("inf"):
            raise click.BadParameter(
                f"{text} is not a number from {least:g}" + ("." if most == float("inf") else f" to {most:,}.")
            )
        return value

    return parsed


def _secret(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value != "-" or context.resilient_parsing:
        return value
    if sys.stdin.isatty():
        prompted: str = click.prompt(str(parameter.name).capitalize(), hide_input=True, err=True)
        return prompted
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.BadParameter("standard input is empty.")
    return line


def _secret_option(name: str, what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    return click.option(
        f"--{name}",
        metavar="TEXT",
        envvar=f"JOIN_SESSION_{name.upper()}",
        show_envvar=True,
        callback=_secret,
        help=f"{what}; - reads it from standard input.",
    )


as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors included.")
name: Final = click.option("--name", help="Your name. Default: Guest and a number.")
passcode: Final = _secret_option("passcode", "Passcode of the session")
token: Final = _secret_option("token", "Host token, or the token of a participant, to be the same one")
service_url: Final = click.option(
    "--url",
    metavar="URL",
    type=http_url,
    default=_URL,
    show_default=True,
    envvar="JOIN_SESSION_URL",
    show_envvar=True,
    help="Address of the service.",
)


def session(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command its session: ``code`` and ``url``. A link says where its service is, unless ``--url`` does.

    Secrets of the environment are those of the environment's service: they are not sent where a link leads to.
    """

    @functools.wraps(function)
    @click.pass_context
    def run(context: click.Context, /, *, code: str, url: str, **others: Any) -> int:
        base, sign, _ = code.strip().partition("#")
        is_link = sign and base.startswith(("http://", "https://"))
        if is_link and context.get_parameter_source("url") is not ParameterSource.COMMANDLINE:
            url, configured = http_url(base), url
            if url != configured:
                _refuse_secrets_of_environment(context, url, configured)
        return function(code=code, url=url, **others)

    return click.argument("code", help="Code of the session, or its link.")(service_url(run))


def _refuse_secrets_of_environment(context: click.Context, url: str, configured: str) -> None:
    for option in context.command.params:
        is_set = option.name and context.get_parameter_source(option.name) is ParameterSource.ENVIRONMENT
        if is_set and option.callback is _secret:
            raise click.UsageError(
                f"{option.envvar} is sent to {configured} only, and the link leads to {url}. "
                f"Pass {option.opts[0]}, or set JOIN_SESSION_URL={url}."
            )
