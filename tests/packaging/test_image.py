"""The Dockerfile and what goes into an image, as far as it can be told without Docker."""

from __future__ import annotations

import pytest

from tests.packaging.tools import ROOT, run, tool

pytestmark = pytest.mark.timeout(300)


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    run(tool("hadolint"), ROOT / "Dockerfile")


def test_checkov_has_nothing_to_say_of_the_dockerfile() -> None:
    options = ("--framework", "dockerfile", "--quiet", "--compact", "--skip-download")
    run(tool("python"), tool("checkov"), *options, "-f", ROOT / "Dockerfile")


def test_nothing_runs_in_the_stage_that_ships() -> None:
    shipped = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert shipped.startswith("scratch AS production\n")
    assert "\nRUN " not in shipped


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    sources = {words[-2] for words in lines if words[:1] == ["COPY"] and "--from" not in words[1]}
    assert sources == allowed
    for source in sources:
        assert (ROOT / source).exists()
