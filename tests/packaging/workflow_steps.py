"""The shell steps of the workflows, run as a runner does; programs that need GitHub or a registry are played."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.packaging.tools import ROOT, documents

__all__ = ["WORKFLOWS", "Done", "run_step", "steps"]

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    said: str
    calls: list[str]
    """What the programs that were played have been called with."""


def steps() -> dict[str, str]:
    """The scripts, by workflow, job and the step's name, id or first line."""
    return {
        f"{path.stem}/{job}/{step.get('name') or step.get('id') or step['run'].splitlines()[0]}": step["run"]
        for path in WORKFLOWS
        for job, steps in documents(path.read_text())[0]["jobs"].items()
        for step in steps.get("steps", ())
        if "run" in step
    }


def run_step(name: str, folder: Path, played: Mapping[str, str] | None = None, **environment: str) -> Done:
    """Runs a step in a folder. `played`: Bash that stands in for a program, each call of which is recorded."""
    programs, calls = folder.parent / "programs", folder.parent / "calls"
    programs.mkdir(exist_ok=True)
    calls.unlink(missing_ok=True)
    for program, text in (played or {}).items():
        path = programs / program
        path.write_text(f'#!/usr/bin/env bash\necho "{program} $*" >>{calls}\n{text}\n')
        path.chmod(0o755)
    everything = {**os.environ, "REGISTRY": "ghcr.io", **environment}
    everything["PATH"] = f"{programs}:{everything['PATH']}"
    done = subprocess.run(
        # As runners do it where a workflow does not say how.
        ["bash", "-e", "-c", steps()[name]],
        cwd=folder,
        env=everything,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, calls.read_text().splitlines() if calls.exists() else [])
