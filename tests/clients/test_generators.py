"""Generators make clients of the OpenAPI document that compile, and live through a session."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.clients.programs import ROOT, java
from tests.harness.here import served_here
from tests.harness.node import JS, compile_project, node_program, run_js
from tests.harness.redis import RedisServer
from tests.harness.sockets import open_sockets

DOCUMENT: Final = ROOT / "docs" / "openapi.json"
GENERATED: Final = JS / "generated"
BUILT: Final = JS / "build" / "generated"


async def test_openapi_typescript_with_openapi_fetch(redis_server: RedisServer) -> None:
    generator = JS / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    done = await run_js(generator, str(DOCUMENT), "--output", str(BUILT / "api.d.ts"))
    assert done.returncode == 0, done.stderr
    await asyncio.to_thread(compile_project, GENERATED)
    await lives_through_a_session(redis_server, *node_program(BUILT / "flow.js"))


async def test_openapi_python_client(redis_server: RedisServer, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(DOCUMENT)]
    options = ["--output-path", str(tmp_path / "client"), "--config", str(config), "--fail-on-warning"]
    done = await asyncio.to_thread(subprocess.run, [*generator, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    flow = Path(__file__).parent / "python" / "flow.py"
    await lives_through_a_session(redis_server, sys.executable, str(flow), PYTHONPATH=str(tmp_path / "client"))


@pytest.mark.slow
@pytest.mark.clients
@pytest.mark.timeout(600)
async def test_openapi_generator_for_java(redis_server: RedisServer) -> None:
    await lives_through_a_session(redis_server, *java("Flow"))


async def lives_through_a_session(redis_server: RedisServer, *program: str, **environment: str) -> None:
    """Run a program that creates a session, which a participant joins over a socket, for it to do the rest."""
    async with served_here(redis_server.url()) as [replica]:
        process = await asyncio.create_subprocess_exec(
            *program, replica.url, stdin=PIPE, stdout=PIPE, env={**os.environ, **environment}
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                code = (await process.stdout.readline()).decode().strip()
                async with open_sockets([replica.url], 1) as [socket]:
                    joined = await socket.emit("join-session", code, {"name": "Ada"})
                    output, _ = await process.communicate(f"{joined['token']}\n".encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, output.decode().strip()) == (0, "100 m1")
        async with httpx.AsyncClient(trust_env=False) as api:
            assert (await api.get(f"{replica.url}/api/session/{code}")).status_code == 404
