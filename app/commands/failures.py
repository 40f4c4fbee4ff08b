"""Errors that end a command: one line on standard error, or with ``--json`` an object on standard output."""

from __future__ import annotations

from typing import IO, Any

import click

from app.commands.exits import FAILED, USAGE_ERROR
from app.terminal import printable

__all__ = ["Failure", "MisconfiguredError"]


class Failure(click.ClickException):
    """The command failed.

    ``code`` is the service's code of the error, or one of ours; ``field`` the path of the field that is wrong.
    """

    exit_code = FAILED

    def __init__(self, message: str, code: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON, in the form of a refused acknowledgement."""
        body = {"ok": False, "code": self.code, "message": self.message}
        return body if self.field is None else body | {"field": self.field}

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"join-session: {printable(self.message)}", file=file, err=True)


class MisconfiguredError(Failure):
    """The settings are wrong: one line for each problem."""

    exit_code = USAGE_ERROR

    def __init__(self, message: str) -> None:
        super().__init__(message, code="configuration")

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)
