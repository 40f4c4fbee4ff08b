"""The HTTP API against requests made from its document, good ones and bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.documents.openapi import openapi
from tests.harness.service import Replica

# A body may break a rule and be too large as well.
REFUSED: Final = ["400", "401", "403", "404", "405", "409", "413", "422", "429"]
CHECKS: Final = f"[checks.negative_data_rejection]\nexpected-statuses = {REFUSED}\n"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("role", ["stranger", "host"])
def test_no_request_is_answered_otherwise_than_documented(role: str, service: list[Replica], tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    if role == "stranger":
        config.write_text(CHECKS)
        options = []
    else:
        movies = [{"id": "m1", "title": "Alien"}]
        made = httpx.post(f"{service[0].url}/api/session/create", json={"movies": movies}, trust_env=False).json()
        config.write_text(f'{CHECKS}\n[parameters]\n"path.sessionID" = "{made["sessionID"]}"\n"path.movieID" = "m1"\n')
        # It would leave nothing for the others.
        options = ["--header", f"Authorization: Bearer {made['hostToken']}", "--exclude-operation-id", "endSession"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
    # No pattern says all that texts are refused for, so what is good by the document is not always taken. On a busy
    # machine Redis may be late, which is a documented answer; an error of ours is in the log.
    command += ["run", f"{service[0].url}/openapi.json", "--checks", "all"]
    command += [
        "--exclude-checks",
        "positive_data_acceptance,not_a_server_error",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "15",
    ]
    command += ["--seed", "1", "--generation-database", "none", "--continue-on-failure", "--no-color", *options]
    errors = unexpected_errors(service[0])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert unexpected_errors(service[0]) == errors
    operations = sum(len(path) for path in openapi()["paths"].values()) - (role == "host")
    assert f"Tested: {operations}\n" in done.stdout


def unexpected_errors(replica: Replica) -> int:
    return sum(line.get("message") == "unexpected error in a request" for line in replica.logs())
