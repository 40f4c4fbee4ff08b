"""The command line, run as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import __version__
from app.settings_reference import reference


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    env = {"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": os.environ["PATH"], **variables}
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
    assert "there is no file nowhere.env" in done.stderr


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 2
    assert "usage: join-session" in done.stderr


def test_the_help_names_the_commands_and_exit_codes(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("serve", "check-config", "Exit codes", "JOIN_SESSION_*"))


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"join-session {__version__}\n"


def test_the_reference_is_printed(tmp_path: Path) -> None:
    assert run("check-config", "--reference", cwd=tmp_path).stdout == reference()
