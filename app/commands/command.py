"""Commands whose help begins with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["command", "write_examples"]


class _Command(click.Command):
    def __init__(self, *args: Any, examples: tuple[str, ...], **options: Any) -> None:
        super().__init__(*args, **options)
        self._examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self._examples)
        super().format_help_text(ctx, formatter)


def command(*examples: str) -> Callable[[Callable[..., int]], click.Command]:
    """Make a function that returns an exit code a command; its docstring is the help.

    The command has the function's name without ``_command``.
    """
    return click.command(cls=_Command, examples=examples)


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    with formatter.section("Examples"):
        for example in examples:
            # Not as text, which would be wrapped.
            formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
