from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest
import uvloop

from app.redis_client.client import RedisClient
from app.redis_client.embedded import EmbeddedServer, NoServerError, find_server
from tests.harness.waiting import until

# By the directory of its socket, which is in the process' title.
EMBEDDED = re.compile(r"-server .*/join-session-(?!test-)")


def server_processes() -> list[psutil.Process]:
    """The embedded servers that this process, or one it started, has running; other tests keep servers of their own."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if EMBEDDED.search(" ".join(child.cmdline()))]


def directory_of(server: EmbeddedServer) -> Path:
    return Path(server.url.removeprefix("unix://")).parent


async def test_it_serves_everything_we_need_and_leaves_nothing_behind() -> None:
    async with EmbeddedServer() as server:
        directory = directory_of(server)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        connection = RedisClient.connect(server.url)
        assert await connection.execute("EVAL", "return redis.call('SPUBLISH', KEYS[1], 'x')", 1, "channel") == 0
        assert await connection.execute("CONFIG", "GET", "save") == {b"save": b""}
        assert await connection.execute("CONFIG", "GET", "port") == {b"port": b"0"}
        await connection.close()
        (process,) = server_processes()
        assert os.getsid(process.pid) != os.getsid(0), "a Ctrl-C must not reach it before us"
    assert not process.is_running()
    assert not directory.exists()


async def test_two_live_side_by_side() -> None:
    async with EmbeddedServer() as one, EmbeddedServer() as two:
        assert one.url != two.url


async def test_stopping_what_never_ran_is_harmless() -> None:
    server = EmbeddedServer()
    await server.stop()
    with pytest.raises(RuntimeError):
        _ = server.url


async def test_it_is_started_again_when_it_dies(caplog: pytest.LogCaptureFixture) -> None:
    async with EmbeddedServer() as server:
        connection = RedisClient.connect(server.url, timeout=10)
        await connection.execute("SET", "key", "x")
        (process,) = server_processes()
        process.kill()
        await asyncio.to_thread(process.wait)
        assert await connection.execute("GET", "key") is None
        await connection.close()
    assert "embedded Redis exited; it is started again, empty" in caplog.messages
    assert server_processes() == []


async def test_a_binary_that_does_not_run_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(NoServerError, match="exit code 3"):
        await EmbeddedServer(broken).start()
    assert server_processes() == []


def test_without_the_extra_a_server_on_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoServerError, match=r"JOIN_SESSION_REDIS_URL.*join-session\[embedded\].*PATH"):
        find_server()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
        assert find_server() == tmp_path / name


OWNER = """
import asyncio
from app.redis_client.embedded import EmbeddedServer

async def main():
    async with EmbeddedServer() as server:
        print(server.url, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_it_dies_with_its_owner_however_that_ends() -> None:
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    directory = Path((await owner.stdout.readline()).decode().strip().removeprefix("unix://")).parent
    (process,) = server_processes()
    owner.send_signal(signal.SIGKILL)
    await owner.wait()

    async def gone() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    await until(gone, "the server is gone")
    for leftover in directory.iterdir():
        leftover.unlink()
    directory.rmdir()


def test_it_works_on_uvloop_as_well() -> None:
    async def main() -> bool:
        async with EmbeddedServer() as server:
            connection = RedisClient.connect(server.url)
            await connection.ping()
            await connection.close()
        return True

    assert uvloop.run(main())
    assert server_processes() == []
