"""``completion``: completion of commands and options in a shell."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from app.commands.command import command
from app.commands.exits import OK

__all__ = ["completion_command"]

_SHELLS: Final = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@command(
    'eval "$(join-session completion bash)"    # in ~/.bashrc',
    'eval "$(join-session completion zsh)"     # in ~/.zshrc, below compinit',
    "join-session completion fish > ~/.config/fish/completions/join-session.fish",
)
@click.argument("shell", type=click.Choice([*_SHELLS]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Print a script that completes commands in a shell."""
    completion = _SHELLS[shell](context.find_root().command, {}, "join-session", "_JOIN_SESSION_COMPLETE")
    print(completion.source(), end="")
    return OK
