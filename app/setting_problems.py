"""Describes what is wrong with the settings that were given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

from app.setting_types import OF_COMMANDS, PREFIX, SECRETS

__all__ = [
    "OF_COMMANDS",
    "SettingsError",
    "field_problems",
    "is_service_link",
    "service_link_problem",
    "unknown_problem",
]

# Kubernetes sets such variables in every pod for each Service whose name begins with "join-session".
_SERVICE_LINK: Final = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_PORT: Final = re.compile(r"(tcp|udp|sctp)://")


def is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes has set a variable for a Service."""
    return bool(_SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_LINK_PORT.match(value)))


def service_link_problem(names: list[str]) -> str:
    return (
        f"{', '.join(sorted(names))}: set by Kubernetes for a Service whose name begins with join-session; "
        "set enableServiceLinks: false in the pod's specification"
    )


def unknown_problem(name: str, fields: Iterable[str]) -> str:
    """Return what to say of a variable that is no setting; ``fields``: the names of all settings."""
    if name in OF_COMMANDS:
        return f"{name}: no setting of the service; commands read it from the environment, not from a file"
    nearest = get_close_matches(name.removeprefix(PREFIX).lower(), fields, n=1)
    return f"{name}: no such setting" + (f"; did you mean {PREFIX}{nearest[0].upper()}?" if nearest else "")


def field_problems(errors: list[ErrorDetails]) -> Iterator[tuple[str, str]]:
    """Yield each invalid setting and what is wrong with it; the values of secrets are not shown."""
    for error in errors:
        field = str(error["loc"][0])
        name = PREFIX + field.upper()
        ours = error.get("ctx", {}).get("error")
        if ours is not None:
            yield name, f"{name}: {ours}"
        elif field in SECRETS:
            yield name, f"{name}: {_sentence(error)}"
        else:
            yield name, f"{name}: {_sentence(error)}, not {error['input']!r:.100}"


def _sentence(error: ErrorDetails) -> str:
    message = error["msg"]
    return message[0].lower() + message[1:]


class SettingsError(Exception):
    """The configuration is invalid. ``problems`` has one line for each reason and contains no secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
