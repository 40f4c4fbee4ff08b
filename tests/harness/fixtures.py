"""Fixtures for conftest.py to import: a fresh server for each test that asks for one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.redis import RedisServer, server_binary
from tests.harness.service import Replica, running_replicas


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A server on a loopback port that keeps its data over a restart."""
    async with RedisServer(aof=True) as server:
        yield server


@pytest.fixture(scope="session")
def service() -> Iterator[list[Replica]]:
    """Three replicas on one Redis, for all tests that break nothing; loopback is free of budgets."""
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory) / "redis.sock"
        command = [str(server_binary()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", directory]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with running_replicas(f"unix://{socket}", 3, grace=1, code_rest=1) as started:
                yield started
        finally:
            server.kill()
            server.wait()
