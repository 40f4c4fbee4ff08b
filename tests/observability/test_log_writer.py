"""A log that nobody reads: what is logged waits, within bounds, and whoever logs does not."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import FileIO, TextIOWrapper

import httpx
import pytest

from app.observability.log_writer import LineWriter
from app.observability.logging import configure_logging, dropped_log_records
from app.redis_client.embedded import die_with_parent
from app.settings import PREFIX, Settings
from tests.harness.ports import free_port
from tests.harness.redis import RedisServer
from tests.observability.test_logging import restored

__all__ = ["restored"]

PIPE = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, TextIOWrapper]]:
    """Both ends of a pipe as small as it can be."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    with FileIO(reading) as reader, TextIOWrapper(FileIO(writing, "w")) as writer:
        yield reader, writer


async def test_a_replica_whose_log_nobody_reads_serves_on(
    redis_server: RedisServer, pipe: tuple[FileIO, TextIOWrapper]
) -> None:
    reader, writer = pipe
    port = free_port()
    settings = {"PORT": port, "INTERNAL_PORT": free_port(), "HOST": "127.0.0.1", "REDIS_URL": redis_server.url()}
    settings |= {"DRAIN_TIMEOUT": 0}
    environment = os.environ | {PREFIX + name: str(value) for name, value in settings.items()}
    process = subprocess.Popen(die_with_parent([sys.executable, "-m", "app", "serve"]), env=environment, stderr=writer)  # noqa: ASYNC220
    writer.close()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
            await serving(client)
            for number in range(60):
                sid = json.loads((await client.get("/socket.io/?EIO=4&transport=polling")).text[1:])["sid"]
                await client.post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", content=WRONG[number % len(WRONG)])
            redis_server.kill()
            asked = (client.post("/api/session/join", json={"sessionID": "123456"}) for _ in range(40))
            for answer in await asyncio.gather(*asked):
                assert answer.status_code == 500
        process.terminate()
        # The log is flushed within a bound, and after that the process ends.
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert len(reader.read(1 << 20)) > PIPE - 1024
    finally:
        process.kill()
        process.wait()


WRONG = (b"9", b"4", b"49", b"42", b"42{}", b"42[1]", b"40{", b"bAA==", b'42["connect"]', b"43[]")


async def serving(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get("/")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.usefixtures("restored")
def test_records_beyond_the_bound_are_dropped_counted_and_told_of(pipe: tuple[FileIO, TextIOWrapper]) -> None:
    reader, writer = pipe
    with writer:
        configure_logging(Settings(log_level="debug", log_format="json"), writer)
        logger = logging.getLogger("app.test")
        for number in range(10_000):
            logger.debug("a flood", extra={"number": number, "text": "x" * 200})
        dropped = dropped_log_records()
        assert 5000 < dropped < 10_000
        text = b""
        while f'"dropped": {dropped}'.encode() not in text:
            text += reader.read(1 << 16)
        logger.debug("on time again")
        assert b"on time again" in reader.read(PIPE)
        lines = [json.loads(line) for line in text.splitlines()]
        told = [line for line in lines if line["message"] == "log records were dropped"]
        numbers = [line["number"] for line in lines if line["message"] == "a flood"]
        assert numbers == list(range(10_000 - dropped))
        assert [line["dropped"] for line in told] == [dropped]
        logging.getLogger().handlers[-1].flush()


def test_a_line_that_can_be_taken_is_written_before_put_returns(pipe: tuple[FileIO, TextIOWrapper]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, 1 << 16)
    threads = threading.active_count()
    lines = LineWriter(writer.fileno(), lambda count: b"%d" % count)
    lines.put(b"one\n")
    lines.put(b"two\n")
    assert reader.read(100) == b"one\ntwo\n"
    assert threading.active_count() == threads
    reader.close()
    lines.put(b"nobody reads this\n")
    assert lines.dropped == 1
