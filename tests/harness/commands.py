"""Runs the command line in processes, while the test's event loop continues."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Done", "run", "started"]

_ROOT: Final = Path(__file__).parent.parent.parent
_TIMEOUT_SECONDS: Final = 45.0


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run(
    *arguments: str,
    timeout: float = _TIMEOUT_SECONDS,
    environment: Mapping[str, str] | None = None,
    given: str = "",
    **variables: str,
) -> Done:
    """Run a command to its end, with `given` on its standard input.

    `environment` and `variables` are added to its environment.
    """
    async with started(*arguments, **{**(environment or {}), **variables}) as process, asyncio.timeout(timeout):
        out, err = await process.communicate(given.encode())
        return Done(await process.wait(), out.decode(), err.decode())


@asynccontextmanager
async def started(*arguments: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *arguments,
        cwd=os.environ.get("TMPDIR", "/tmp"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()
