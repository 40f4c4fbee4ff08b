"""A replica imports what it needs to serve, and no more: that is most of the time that its start takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final

from app.commands.imports import UNUSED
from app.settings import PREFIX

_SERVE: Final = """
import atexit, sys
from app.cli import main

atexit.register(lambda: print("imported", *sys.modules))
sys.exit(main(["serve"]))
"""
_FOR_OTHERS: Final = (
    # The other commands, and the documents, which are made when somebody asks for them.
    "app.client.load",
    "app.client.participant",
    "app.documents",
    "app.settings_reference",
    # Traces are off unless they are asked for.
    "app.observability.trace_export",
    "opentelemetry.exporter",
)


def test_to_serve_and_answer_a_join_imports_nothing_that_is_for_something_else(tmp_path: Path) -> None:
    ports = {"HOST": "127.0.0.1", "PORT": "0", "INTERNAL_HOST": "127.0.0.1", "INTERNAL_PORT": "0", "DRAIN_TIMEOUT": "0"}
    settings = {PREFIX + name: value for name, value in ports.items()}
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "PATH": os.environ["PATH"], **settings}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = next(line for line in process.stdout if line.startswith("Ready:")).removeprefix("Ready: ").strip()
            code = next(line for line in process.stdout if line.startswith("Session ")).split()[1]
            body = json.dumps({"sessionID": code}).encode()
            with urllib.request.urlopen(f"{address}/api/session/join", body, timeout=10) as answer:
                assert answer.status == 200
            process.terminate()
            (told,) = (line for line in process.stdout if line.startswith("imported "))
        finally:
            process.kill()
    imported = told.split()
    assert "quart" in imported
    assert not [
        name
        for name in imported
        if any(name == other or name.startswith(other + ".") for other in (*UNUSED, *_FOR_OTHERS))
    ]
