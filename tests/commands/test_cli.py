"""The command line, run as people run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest

from app import __version__
from app.cli import main
from app.commands.program import program
from app.settings_reference import reference

ROOT: Final = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_a_valid_configuration_is_printed_with_secrets_masked(tmp_path: Path) -> None:
    done = run("check-config", cwd=tmp_path, JOIN_SESSION_SECRET="s3cret" * 6, JOIN_SESSION_PORT="8081")
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.splitlines()
    assert "JOIN_SESSION_PORT=8081" in printed
    assert "JOIN_SESSION_SECRET=********" in printed


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_wrong_configuration_exits_2_with_a_line_for_each_problem(command: str, tmp_path: Path) -> None:
    done = run(command, cwd=tmp_path, JOIN_SESSION_PORT="x", JOIN_SESSION_PROT="1")
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["JOIN_SESSION_PROT", "JOIN_SESSION_PORT"]


def test_a_redis_url_that_cannot_be_parsed_is_a_wrong_configuration(tmp_path: Path) -> None:
    done = run("check-config", cwd=tmp_path, JOIN_SESSION_REDIS_URL="http://user:s3cret@h")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("JOIN_SESSION_REDIS_URL: the Redis URL must begin with one of redis://")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr


def test_the_settings_file_can_be_another_one(tmp_path: Path) -> None:
    (tmp_path / "service.env").write_text("JOIN_SESSION_PORT=8081\n")
    done = run("check-config", "--env-file", "service.env", cwd=tmp_path)
    assert "JOIN_SESSION_PORT=8081" in done.stdout.splitlines()


def test_a_settings_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = run("check-config", "--env-file", "nowhere.env", cwd=tmp_path)
    assert done.returncode == 2
    assert "'nowhere.env' does not exist" in done.stderr


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: join-session" in done.stderr


def test_the_help_names_the_commands_and_exit_codes(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("serve", "check-config", "Exit codes", "JOIN_SESSION_*"))


def test_the_version_is_printed(tmp_path: Path) -> None:
    for way in ("--version", "-V", "version"):
        assert run(way, cwd=tmp_path).stdout == f"join-session {__version__}\n"
    assert json.loads(run("version", "--json", cwd=tmp_path).stdout) == {"version": __version__}


def test_the_reference_is_printed(tmp_path: Path) -> None:
    assert run("check-config", "--reference", cwd=tmp_path).stdout == reference()


def test_typing_errors_are_recognized(tmp_path: Path) -> None:
    assert run("watsh", cwd=tmp_path).stderr.endswith("Error: No such command 'watsh'. Did you mean 'watch'?\n")
    assert "'--title'" in run("create", "--titel", "x", cwd=tmp_path).stderr


COMMANDS: Final = program.list_commands(click.Context(program))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_begins_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", command]) == 0
    help_text = capsys.readouterr().out
    usage, heading, example, *_ = [line for line in help_text.splitlines() if line]
    assert usage.startswith(f"Usage: join-session {command} ")
    assert (heading, example[:2]) == ("Examples:", "  ")
    assert f"join-session {command}" in example
    assert main([command, "-h"]) == 0
    assert capsys.readouterr().out == help_text


def test_the_help_lists_all_commands_in_groups(tmp_path: Path) -> None:
    help_text = run("help", cwd=tmp_path).stdout
    assert help_text == run("--help", cwd=tmp_path).stdout
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", help_text, re.MULTILINE)
    assert listed == COMMANDS
    assert "..." not in help_text
    assert re.findall(r"^([A-Z].+):$", help_text, re.MULTILINE)[-5:] == [
        "Sessions", "Service", "Operators", "API documents", "This program"
    ]  # fmt: skip


def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path) -> None:
    """`join-session openapi | head -1`."""
    command = [sys.executable, "-m", "app.cli", "openapi"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_variables_of_the_commands_do_not_stop_the_service(tmp_path: Path) -> None:
    assert run("check-config", cwd=tmp_path, JOIN_SESSION_URL="http://localhost:8080").returncode == 0
    (tmp_path / ".env").write_text("JOIN_SESSION_URL=http://localhost:8080\n")
    done = run("check-config", cwd=tmp_path)
    assert done.returncode == 2
    assert "commands read it from the environment" in done.stderr


def test_printing_the_version_imports_little() -> None:
    code = "import sys; from app.cli import main; main(['version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"asyncio", "pydantic", "quart", "orjson", "app.settings"} & set(done.stdout.split())
