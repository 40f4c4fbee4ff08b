"""Docker alone: the commands of the README for it lead to a joined session."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
import pytest

from tests.e2e.cluster import ROOT, command
from tests.harness.newcomer import joined
from tests.harness.ports import free_port
from tests.harness.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

PROJECT: Final = "join-session-e2e"
VALKEY: Final = "valkey/valkey:8.1"


def shown(word: str) -> list[list[str]]:
    """The commands of the README's block that has this word in it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if word in block]
    lines = block.replace("\\\n", "").splitlines()
    return [line.partition("#")[0].split() for line in lines if line]


def compose() -> list[str]:
    """Docker's plugin, or the program of before, which takes the same file."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("no docker compose (Debian's package docker-compose has it)")


async def test_compose_serves_keeps_its_secrets_and_its_sessions() -> None:
    [up] = shown("docker compose")
    assert up[:3] == ["docker", "compose", "up"]
    program = [*compose(), "--project-name", PROJECT]
    port = free_port()
    environment = {"JOIN_SESSION_PORT": str(port), "DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    url = f"http://127.0.0.1:{port}"
    try:
        async with running([*program, *up[2:]], environment):
            code = await created(url)
            await joined(url, code)
            assert "<!doctype html>" in (await answer(url)).lower()
            listed = await command(*program, "exec", "-T", "join-session", "join-session", "list")
            assert code in listed
        await command(*program, "down", timeout=120)
        async with running([*program, *up[2:]], environment):
            await created(url)
            await joined(url, code)
    finally:
        await command(*program, "down", "--volumes", timeout=120)


async def test_docker_runs_it_with_a_redis_of_ones_own() -> None:
    build, run = shown("docker build --tag")
    name = f"{PROJECT}-run"
    port = free_port()
    assert build[:2] == ["docker", "build"]
    await command(*build, timeout=600)
    at = run.index("docker") + 2
    words = [word.replace("8080:8080", f"{port}:8080").replace("redis.example", f"{name}-redis") for word in run[at:]]
    await command("docker", "network", "create", name)
    try:
        redis = ("--detach", "--rm", f"--name={name}-redis", f"--network={name}")
        await command("docker", "run", *redis, VALKEY, timeout=300)
        await command("docker", "run", "--detach", f"--name={name}", f"--network={name}", *words)
        url = f"http://127.0.0.1:{port}"
        await joined(url, await created(url))
    finally:
        for container in (name, f"{name}-redis"):
            await command("docker", "stop", container)
        await command("docker", "network", "rm", name)


@asynccontextmanager
async def running(words: Sequence[str], environment: dict[str, str]) -> AsyncIterator[None]:
    """A command in the foreground, stopped as by Ctrl-C."""
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=os.environ | environment)
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def created(url: str) -> str:
    """A session, once the service answers."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def code() -> str | None:
            try:
                made = await client.post(f"{url}/api/session/create")
                made.raise_for_status()
            except httpx.HTTPError:
                return None
            found: str = made.json()["sessionID"]
            return found

        made: str = await until(code, "the service answers", timeout=600, poll=0.2)
        return made


async def answer(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).text
