"""`skaffold dev`, `run` and `verify` on the cluster, in a copy of the project."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.e2e.cluster import NAMESPACE, ROOT, Cluster, command, say

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]

SEEN_WITHIN = 10.0
FOUND = "Session found. You can now connect via WebSocket."
CHANGED = "Session found. This file was changed."
VERIFY = "skaffold build -q | skaffold verify -a -"


async def test_dev_shows_a_changed_file_within_seconds_and_leaves_nothing(kind: Cluster, tmp_path: Path) -> None:
    project = await _copy(tmp_path)
    changed = project / "app" / "http" / "join.py"
    say("skaffold dev")
    async with _dev(kind, project, tmp_path / "dev.log") as (process, url), _client(url) as client:
        code = (await client.post("/api/session/create")).json()["sessionID"]
        assert await _message(client, code) == FOUND
        pods = await _pods(kind)
        changed.write_text(changed.read_text().replace(FOUND, CHANGED))
        written = time.monotonic()
        while await _message(client, code) != CHANGED:
            assert time.monotonic() - written < SEEN_WITHIN, (tmp_path / "dev.log").read_text()[-3000:]
            await asyncio.sleep(0.2)
        say(f"skaffold dev: a changed file was in effect after {time.monotonic() - written:.1f} s")
        assert await _pods(kind) == pods
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 120) == 0
    assert "NAME" not in await _kubectl(kind, "get", "deployments,statefulsets", "--ignore-not-found")


async def test_run_deploys_the_image_for_production_and_verify_joins(kind: Cluster, tmp_path: Path) -> None:
    project = await _copy(tmp_path)
    context = ("--kube-context", f"kind-{kind.name}")
    say("skaffold run and verify")
    try:
        await _skaffold(project, "run", *context)
        # It knows no --kube-context: making the cluster has made it the current one.
        said = await command("sh", "-c", VERIFY, timeout=600, cwd=project)
        assert "heard the other client join" in said
    finally:
        await _skaffold(project, "delete", *context)


@asynccontextmanager
async def _dev(kind: Cluster, project: Path, log: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    program = shutil.which("skaffold")
    assert program is not None, "skaffold is not installed"
    with log.open("wb") as output:
        process = await _start(program, project, kind, output)
        try:
            yield process, await _forwarded(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _start(program: str, project: Path, kind: Cluster, output: IO[bytes]) -> asyncio.subprocess.Process:
    options = ("dev", "--kube-context", f"kind-{kind.name}", "--trigger", "notify")
    return await asyncio.create_subprocess_exec(program, *options, cwd=project, stdout=output, stderr=output)


async def _forwarded(process: asyncio.subprocess.Process, log: Path) -> str:
    """The forwarded address, once everything is deployed and files are watched."""
    async with asyncio.timeout(600):
        while True:
            said = _text(log)
            address = re.search(r"Port forwarding service/join-session .*-> (http://127\.0\.0\.1:\d+)", said)
            if address and "Watching for changes" in said:
                assert address[1] == "http://127.0.0.1:8080"
                return address[1]
            assert process.returncode is None, said[-5000:]
            await asyncio.sleep(0.5)


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=5)


async def _message(client: httpx.AsyncClient, code: str) -> str:
    try:
        answer = await client.post("/api/session/join", json={"sessionID": code})
    except httpx.TransportError:
        return ""
    return str(answer.json()["message"])


async def _copy(folder: Path) -> Path:
    """The files of the project, as they are now."""
    project = folder / "project"
    listed = await command("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    return project


async def _skaffold(project: Path, *words: str) -> str:
    return await command("skaffold", *words, timeout=600, cwd=project)


async def _kubectl(kind: Cluster, *words: str) -> str:
    return await command("kubectl", "--context", f"kind-{kind.name}", "-n", NAMESPACE, *words)


async def _pods(kind: Cluster) -> str:
    return await _kubectl(kind, "get", "pods", "-l", "app.kubernetes.io/name=join-session", "-o", "name")
