"""What a newcomer does: types a command that serves, reads what it prints, and joins the session that waits there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from app.settings import PREFIX
from tests.harness.sockets import open_sockets

__all__ = ["Served", "joined", "serving"]

_READY: Final = r"^Ready: (\S+)\nSession (\d+) .*\n\n +(curl .+)\n\nOpen (\S+) in two browsers\n"


@dataclass(frozen=True, slots=True)
class Served:
    """A command that serves, and what it has printed: an address, a session's code, a command that joins it, a link."""

    process: subprocess.Popen[str]
    address: str
    code: str
    command: str
    link: str


@contextmanager
def serving(command: Sequence[str | Path], folder: Path, **environment: str) -> Iterator[Served]:
    """Runs a command in a folder, on free ports, until the end of the block."""
    # As from a shell, also where make runs the tests.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", PREFIX))}
    ports = {f"{PREFIX}PORT": "0", f"{PREFIX}INTERNAL_PORT": "0"}
    process = subprocess.Popen(
        # Whoever runs the tests in the background has Ctrl-C ignored.
        ["env", "--default-signal=INT", *command],
        cwd=folder,
        env=inherited | ports | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Served(process, *_until_ready(process))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


async def joined(address: str, code: str) -> None:
    """Two of them look a session up over HTTP, as a page does, and join it; each sees the other."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{address}/api/session/join", json={"sessionID": code})
    assert answer.status_code == 200, answer.text
    async with open_sockets([address], 2) as visitors:
        acks = [await visitor.emit("join-session", code) for visitor in visitors]
        for visitor in visitors:
            seen = await visitor.at_version(acks[-1]["version"])
            assert {ack["participantID"] for ack in acks} <= {person["id"] for person in seen["participants"]}


def _until_ready(process: subprocess.Popen[str]) -> tuple[str, str, str, str]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if found := re.search(_READY, text, re.MULTILINE):
            address, code, command, link = found.groups()
            return address, code, command, link
    raise AssertionError(f"it has ended:\n{text}")
