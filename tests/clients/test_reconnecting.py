"""Clients that do not know connection state recovery join again by what the client guide shows, and hear of changes."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.clients.programs import ROOT, java, rust
from tests.harness.here import served_here
from tests.harness.node import JS, node_program
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer

HERE: Final = Path(__file__).parent
GUIDE: Final = ROOT / "docs" / "clients.md"
PROGRAMS: Final = {
    "python": HERE / "python" / "reconnect.py",
    "js": JS / "reconnect.mjs",
    "java": HERE / "java" / "src" / "main" / "java" / "Reconnect.java",
    "rust": HERE / "rust" / "src" / "main.rs",
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_lines_of_the_guide_are_those_that_run(language: str) -> None:
    section = GUIDE.read_text().partition("\n## Clients without connection state recovery\n")[2].partition("\n## ")[0]
    shown = section.partition(f"```{language}\n")[2].partition("```")[0]
    assert shown
    program = PROGRAMS[language].read_text()
    assert any(textwrap.indent(shown, " " * indent) in program for indent in (0, 4, 8))


async def test_python_socketio_joins_again(redis_server: RedisServer) -> None:
    await joins_again(redis_server, sys.executable, str(PROGRAMS["python"]))


async def test_socket_io_client_4_5_joins_again(redis_server: RedisServer) -> None:
    await joins_again(redis_server, *node_program(PROGRAMS["js"]))


@pytest.mark.slow
@pytest.mark.clients
@pytest.mark.timeout(600)
async def test_the_client_in_java_joins_again(redis_server: RedisServer) -> None:
    await joins_again(redis_server, *java("Reconnect"))


@pytest.mark.slow
@pytest.mark.clients
@pytest.mark.timeout(600)
async def test_the_client_in_rust_joins_again(redis_server: RedisServer) -> None:
    await joins_again(redis_server, *rust())


async def joins_again(redis_server: RedisServer, *program: str) -> None:
    """Cut the connection of a program that prints what it hears, and change the session once it is back."""
    async with (
        served_here(redis_server.url()) as [replica],
        FaultProxy(replica.port) as proxy,
        httpx.AsyncClient(base_url=replica.url, trust_env=False) as api,
    ):
        made = (await api.post("/api/session/create")).json()
        address = f"http://127.0.0.1:{proxy.port}"

        async def renamed(title: str) -> None:
            host = {"Authorization": f"Bearer {made['hostToken']}"}
            changed = await api.patch(f"/api/session/{made['sessionID']}", json={"title": title}, headers=host)
            assert changed.status_code == 200

        process = await asyncio.create_subprocess_exec(*program, address, made["sessionID"], stdout=PIPE)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                await heard(process.stdout, "joined")
                # It follows the acknowledgement, in which the token is.
                await renamed("Thursday")
                await heard(process.stdout, "title Thursday")
                proxy.cut()
                await heard(process.stdout, "joined")
                await renamed("Friday")
                await heard(process.stdout, "title Friday")
            state = (await api.get(f"/api/session/{made['sessionID']}")).json()
        finally:
            process.kill()
            await process.wait()
    [participant] = state["sessionData"]["participants"]
    assert (participant["name"], participant["connected"]) == ("Ada", True)


async def heard(output: asyncio.StreamReader, wanted: str) -> None:
    """Read to the line that is wanted."""
    lines: list[str] = []
    while (line := (await output.readline()).decode().replace('"', "")) != f"{wanted}\n":
        assert line, f"the program ended after {lines}, without {wanted}"
        lines.append(line)
