"""What the load tool is for: two thousand people, for a minute."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.commands import run
from tests.harness.redis import RedisServer
from tests.harness.service import replicas

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(420)]


async def test_two_hundred_sessions_of_ten_lose_nothing_for_a_minute(redis_server: RedisServer) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "load.md").read_text()
    command = re.search(r"^join-session (load --url http://localhost:8080 .+)$", page, re.MULTILINE)
    assert command is not None
    async with replicas(redis_server.url(), log_levels="app=info") as (replica,):
        arguments = command[1].replace("http://localhost:8080", replica.url).split()
        # Whoever else is busy on the machine may make everything slow, but nothing wrong.
        done = await run(*arguments, "--deadline", "60", "--json", timeout=360)
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert told["violations"]["total"] == 0, told["violations"]
    assert (told["counts"]["sessions"], told["counts"]["clients"]) == (200, 2000)
    assert told["counts"]["newEpochs"] == 0
    assert told["counts"]["changes"]["acknowledged"] > 200
    assert told["milliseconds"]["delivery"]["count"] > 200
