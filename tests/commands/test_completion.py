"""The completion of commands, in the shells that are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.harness.programs import program

ROOT: Final = Path(__file__).parents[2]
# What a shell completes after `join-session ` and some letters.
BASH: Final = """
eval "$(join-session completion bash)"
COMP_WORDS=(join-session {words}) COMP_CWORD={last}
_join_session_completion join-session
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH: Final = """
join-session completion fish | source
complete --do-complete 'join-session {words}'
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which the command is `join-session`."""
    command = tmp_path / "join-session"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m app "$@"\n')
    command.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def completed(shell: str, script: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [program(shell), "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("fish", FISH)])
def test_a_shell_completes_commands_options_and_values(shell: str, script: str, environment: dict[str, str]) -> None:
    def complete(words: str) -> list[str]:
        return completed(shell, script.format(words=words, last=len(words.split())), environment)

    assert set(complete("c")) == {"create", "check", "check-config", "capacity", "completion"}
    assert complete("create --pass") == ["--passcode"]
    assert set(complete("completion f")) == {"fish"}


def test_zsh_takes_the_script(environment: dict[str, str]) -> None:
    script = 'autoload -U compinit; compinit -u -D; eval "$(join-session completion zsh)"; print $_comps[join-session]'
    assert completed("zsh", script, environment) == ["_join_session_completion"]


def test_an_unknown_shell_is_wrong_usage(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["join-session", "completion", "tcsh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
