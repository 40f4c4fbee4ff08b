"""``join-session capacity``."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from app.capacity import Load, estimate
from app.cli import main
from app.settings import PREFIX, Settings


def test_a_small_deployment_needs_no_other_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--people", "2000"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("2,000 people in 200 sessions of 10, 200 changes a second\n")
    assert "1 server" in told
    assert told.endswith("The default settings fit.\n")


def test_a_million_people_need_settings_that_the_service_takes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--people", "1000000", "--session-size", "10", "--changes", "1", "--affinity", "--patches"]
    assert main(["capacity", *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["estimate"] == asdict(estimate(Load(1_000_000, 10, 1, patches=True, has_affinity=True)))
    values = {each["name"]: each["value"] for each in told["settings"]}
    given = {name.removeprefix(PREFIX).lower(): value for name, value in values.items() if name.startswith(PREFIX)}
    settings = Settings(**given)
    assert settings.max_sessions == 150_000
    assert settings.code_length == 8
    assert settings.miss_budget_total == 10_000


def test_the_table_names_the_settings_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--people", "1000000"]) == 0
    told = capsys.readouterr().out
    assert "JOIN_SESSION_MAX_SESSIONS " in told
    assert "JOIN_SESSION_CODE_LENGTH " in told


def test_replicas_with_too_many_people_need_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--people", "100000", "--changes", "0", "--replicas", "5", "--json"]) == 0
    names = [each["name"] for each in json.loads(capsys.readouterr().out)["settings"]]
    assert {"JOIN_SESSION_MAX_CONNECTIONS", "resources.limits.memory"} <= set(names)


def test_what_no_redis_is_enough_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for people in ("1000000", "100000000"):
        assert main(["capacity", "--people", people, "--replicas", "100000"]) == 1
        assert "more than 1,000 primaries" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--people", "0"],
        ["--people", "many"],
        ["--people", "9", "--changes", "-1"],
        ["--people", "9", "--session-size", "nan"],
    ],
)
def test_a_wrong_number_is_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", *wrong]) == 2
    assert "Usage: join-session capacity" in capsys.readouterr().err
