"""Python's collector of cycles in a process that serves: seldom, and often enough to keep the memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Final

import psutil
import pytest

from tests.harness.people import Api
from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.harness.sockets import open_sockets
from tests.harness.waiting import until

_SERVING: Final = """
import gc, os, signal, uvloop
from app.replica.process import serve
from app.settings import Settings

async def show(address, code):
    print(*gc.get_threshold(), gc.get_freeze_count() > 10_000)
    os.kill(os.getpid(), signal.SIGTERM)

uvloop.run(serve(Settings(_env_file=None, port=0, internal_port=0, drain_timeout=0), show))
"""
_ROUNDS: Final = 10
_SOCKETS: Final = 400


def test_a_process_that_serves_looks_for_cycles_seldom_and_never_among_what_it_has_imported() -> None:
    shown = subprocess.run([sys.executable, "-c", _SERVING], capture_output=True, text=True, timeout=60, check=True)
    *thresholds, is_frozen = shown.stdout.split()
    # The collector of some versions has no third generation (https://docs.python.org/3.14/whatsnew/3.14.html).
    has_steps = (3, 14) <= sys.version_info < (3, 14, 5)
    assert thresholds == ["5000", "10", "0" if has_steps else "10"]
    assert is_frozen == "True"


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_memory_does_not_grow_with_the_connections_that_have_gone() -> None:
    async with AsyncExitStack() as stack, RedisServer() as redis, replicas(redis.url(), grace=1) as (replica,):
        api = Api([replica])
        stack.push_async_callback(api.close)
        memory = psutil.Process(replica.pid).memory_info

        async def come_and_go() -> int:
            """The resident memory once all that came have gone."""
            codes = [(await api.create(capacity=20)).code for _ in range(_SOCKETS // 20)]
            async with open_sockets([replica.url], _SOCKETS) as sockets:
                joins = (socket.emit("join-session", codes[n % len(codes)]) for n, socket in enumerate(sockets))
                assert all(ack["ok"] for ack in await asyncio.gather(*joins))

            async def all_gone() -> bool:
                return not [code for code in codes if (await api.read(code))["sessionData"]["participants"]]

            await until(all_gone, "all have gone")
            return memory().rss

        sizes = [await come_and_go() for _ in range(_ROUNDS)]
    assert sizes[-1] < sizes[0] + 32 * 2**20, sizes
