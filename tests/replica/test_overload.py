"""What a replica does when it has too much to do: it refuses new connections, serves the others, and resumes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.replica.handshake_pace import HandshakePace
from app.replica.memory import Memory
from app.replica.memory_gate import MemoryGate
from app.socketio_server.refusals import overloaded
from tests.harness.here import Here, served_here
from tests.harness.metrics import scrape, until_metrics
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until
from tests.harness.wire import UPGRADE, Answer, wire

MIB: Final = 2**20
POLLING: Final = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET: Final = f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n"
# Loopback is nobody's that is free of limits.
LIMITED: Final[dict[str, Any]] = {"unlimited_addresses": "192.0.2.0/24", "affinity_cookie": "route"}


async def shaken(replica: Here) -> Answer:
    async with wire(replica.port) as connection:
        return await connection.ask(WEBSOCKET)


def own_memory() -> int:
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


async def test_without_memory_new_connections_are_refused_until_there_is_some_and_others_are_served(
    redis_server: RedisServer,
) -> None:
    limit = round((own_memory() + 128 * MIB) / 0.9)
    async with (
        served_here(redis_server.url(), memory_limit=limit, **LIMITED) as (replica,),
        httpx.AsyncClient(base_url=replica.url, trust_env=False) as client,
    ):
        assert (await until_metrics(replica, lambda now: now.value("join_session_memory_in_use_bytes") > 0)).value(
            "join_session_memory_limit_bytes"
        ) == limit
        socket = await Socket.open(replica.url)
        ballast = bytearray(os.urandom(MIB)) * 320

        async def refused() -> bool:
            return (await client.get(POLLING)).status_code == 503

        await until(refused, "memory is short", poll=0.1)
        answer = await shaken(replica)
        assert answer[0] == 503
        assert 1 <= int(answer[1]["retry-after"]) <= 30
        assert answer[1]["set-cookie"] == "route=; path=/; max-age=0; httponly"
        assert not (await socket.emit("vote", {"movieID": "m1", "rating": 5}))["ok"]
        assert (await client.post("/api/session/create", json={})).status_code == 201
        seen = await scrape(replica)
        for transport in ("polling", "websocket"):
            assert seen.value("join_session_handshakes_total", transport=transport, result="too-little-memory") >= 1
        del ballast

        async def taken() -> bool:
            return (await shaken(replica))[0] == 101

        await until(taken, "memory is there again", poll=0.1)
        await socket.close()


def test_a_measurement_that_fails_leaves_what_was_measured_last() -> None:
    measured = iter([100 * MIB, 100 * MIB, 110 * MIB])

    def used() -> int:
        found = next(measured, None)
        if found is None:
            raise OSError(24, "Too many open files")
        return found

    gate = MemoryGate(Memory(160 * MIB, used))
    gate.tick(10)
    gate.tick(20)
    assert gate.in_use == 110 * MIB
    assert not gate.refuses(20)


async def test_clients_that_all_come_at_once_are_taken_one_after_the_other(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), **LIMITED) as (replica,):
        answers = await asyncio.gather(*(shaken(replica) for _ in range(300)))
        refused = [answer for answer in answers if answer[0] == 503]
        assert {answer[0] for answer in answers} == {101, 503}
        assert {answer[1]["connection"] for answer in refused} == {"close"}
        assert len({answer[1]["retry-after"] for answer in refused}) > 1
        seen = await scrape(replica)
        assert seen.value("join_session_handshakes_total", result="too-many-handshakes") == len(refused)
        assert seen.value("join_session_connections") + len(refused) <= 300

        async def taken() -> bool:
            return (await shaken(replica))[0] == 101

        await until(taken, "a moment later there are fewer")


async def test_a_full_port_asks_for_different_times(redis_server: RedisServer) -> None:
    async with (
        served_here(redis_server.url(), max_tcp_connections=1, **LIMITED) as (replica,),
        wire(replica.port) as one,
    ):
        await one.write("GET / HTTP/1.1\r\n")
        await until(lambda: replica.replica.public.server_state.connections)
        waits = set()
        for _ in range(20):
            async with wire(replica.port) as connection:
                waits.add((await connection.answer())[1]["retry-after"])
        assert len(waits) > 1


def test_refused_clients_are_asked_to_wait_for_different_times() -> None:
    waits = {dict(overloaded("too many", 5).headers)[b"retry-after"] for _ in range(200)}
    assert waits == {b"1", b"2", b"3", b"4", b"5"}


# The memory in use


class Kernel:
    """What it says of a process, in MiB."""

    def __init__(self) -> None:
        self.used = 60
        self.gate = MemoryGate(Memory(160 * MIB, lambda: self.used * MIB))

    def at(self, used: int, opened: int) -> bool:
        """Whether another connection is refused with so much in use and so many open."""
        self.used = used
        self.gate.tick(opened)
        return self.gate.refuses(opened)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_there_is_room_up_to_nine_tenths_of_the_limit(kernel: Kernel) -> None:
    assert not kernel.at(140, 2000)
    # 4 MiB are left, at 28 KiB each.
    assert not kernel.gate.refuses(2000 + 145)
    assert kernel.gate.refuses(2000 + 146)
    assert kernel.at(144, 2100)
    assert kernel.at(150, 2100)


def test_what_the_connections_had_that_have_gone_is_free_although_the_process_keeps_it(kernel: Kernel) -> None:
    assert kernel.at(150, 3000)
    assert not kernel.at(150, 1500)
    assert kernel.gate.in_use == (60 + (150 - 60) // 2) * MIB
    assert not kernel.at(149, 0)
    assert kernel.gate.in_use == 60 * MIB
    # Some are back, and it is a bit more by chance.
    assert not kernel.at(151, 2700)
    assert kernel.gate.in_use == (60 + 81 + 1) * MIB
    assert kernel.at(151, 2990)


def test_what_grows_beyond_is_in_use(kernel: Kernel) -> None:
    assert not kernel.at(120, 3000)
    assert not kernel.at(120, 300)
    # Not by the connections alone, as it turns out.
    assert kernel.at(145, 300)
    assert kernel.gate.in_use == 145 * MIB


def test_what_the_kernel_has_got_back_is_free(kernel: Kernel) -> None:
    assert kernel.at(150, 3000)
    assert not kernel.at(100, 3000)
    assert kernel.gate.in_use == 100 * MIB


# The pace


def admitted(pace: HandshakePace, wanted: int) -> int:
    return sum(not pace.refuses(0) for _ in range(wanted))


def ticked(*lags: float) -> Callable[[HandshakePace], int]:
    def run(pace: HandshakePace) -> int:
        for lag in lags:
            admitted(pace, 10_000)
            pace.tick(lag)
        return pace.budget

    return run


def test_the_pace_grows_while_the_loop_is_in_time_and_more_want_to_come() -> None:
    assert ticked(0.0, 0.01, 0.04)(HandshakePace()) == 337
    assert ticked(*[0.0] * 20)(HandshakePace()) == 1000
    pace = HandshakePace()
    assert admitted(pace, 60) == 60
    pace.tick(0.0)
    assert pace.budget == 100


def test_the_pace_is_halved_with_each_tick_that_is_late_and_never_ends() -> None:
    assert ticked(0.2)(HandshakePace()) == 50
    assert ticked(*[1.0] * 20)(HandshakePace()) == 25
    assert ticked(0.07)(HandshakePace()) == 100


def test_what_makes_the_loop_late_without_handshakes_does_not_slow_them() -> None:
    pace = HandshakePace()
    assert admitted(pace, 50) == 50
    pace.tick(1.0)
    assert pace.budget == 100


def test_a_pace_that_had_to_be_slow_recovers_by_itself() -> None:
    pace = HandshakePace()
    ticked(*[1.0] * 20)(pace)
    for _ in range(10):
        pace.tick(0.0)
    assert pace.budget >= 100
    assert admitted(pace, 100) == 100
