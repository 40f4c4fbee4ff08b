"""The bot of `examples/` adds its movies once, announces a decision after a reconnect, and ends with the session."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.clients.programs import ROOT
from tests.harness.here import served_here
from tests.harness.people import Api
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer

# What is shown, with our Python in place of one with the packages that the bot says it needs.
COMMAND: Final = re.findall("`uv run (examples/bot/.+)`", (ROOT / "examples" / "README.md").read_text())[0].split()


@asynccontextmanager
async def bot(url: str, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [code if part == "123456" else part for part in COMMAND]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--service", url, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_adds_a_list_and_announces_decisions(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as [replica], FaultProxy(replica.port) as proxy:
        api = Api([replica])
        made = await api.create()
        async with bot(f"http://127.0.0.1:{proxy.port}", made.code) as process:
            assert await line(process) == "Added 4 movies, 0 were there."
            state = await api.read(made.code)
            assert [movie["title"] for movie in state["sessionData"]["movies"]] == [
                "Alien",
                "Brazil",
                "Casablanca",
                "Dune",
            ]
            proxy.cut()
            assert await line(process) == "Added 0 movies, 4 were there."
            chosen = {"movieID": state["sessionData"]["movies"][1]["id"]}
            await api.call("POST", f"{made.path}/decision", token=made.host_token, json=chosen)
            assert await line(process) == "Decided: Brazil"
            await api.call("DELETE", made.path, token=made.host_token)
            assert await line(process) == "The session is over: ended"
            assert await asyncio.wait_for(process.wait(), 10) == 0
        await api.close()


async def test_it_says_why_it_cannot_join(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as [replica], bot(replica.url, "2222222222") as process:
        _, said = await asyncio.wait_for(process.communicate(), 10)
        assert said.decode() == "Session not found or has expired\n"


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 15)).decode().rstrip("\n")
