"""What a connection does when the server or the network fails: in time, honest, and well again by itself."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

import pytest

from app.deadline import Deadline, context_without_deadline
from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import StoreUnavailable
from app.redis_client.reply import integer
from tests.harness.ports import free_port
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

TIMEOUT = 0.5
# What a busy machine may add to a deadline.
SLACK = 1.0
COUNT = Script("count", "return redis.call('INCR', KEYS[1])")


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisClient]:
    connection = RedisClient.connect(redis_server.url(), timeout=TIMEOUT)
    await connection.ping()
    yield connection
    await connection.close()


@contextmanager
def in_time(timeout: float = TIMEOUT) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < timeout + SLACK


async def outcome(connection: RedisClient, *command: str) -> tuple[str, bool]:
    """The reason and `sent` of a command that must fail."""
    with pytest.raises(StoreUnavailable) as failure:
        await connection.execute(*command)
    return failure.value.reason, failure.value.sent


async def test_nobody_listening_is_told_in_time() -> None:
    connection = RedisClient.connect(f"redis://127.0.0.1:{free_port()}", timeout=TIMEOUT)
    with in_time():
        assert await outcome(connection, "GET", "key") == ("refused", False)
    with in_time():
        failures = await asyncio.gather(*(connection.ping() for _ in range(200)), return_exceptions=True)
    assert all(isinstance(failure, StoreUnavailable) and not failure.sent for failure in failures)
    await connection.close()


async def test_a_name_that_does_not_resolve_is_told_in_time() -> None:
    connection = RedisClient.connect("redis://name.invalid", timeout=TIMEOUT)
    with in_time():
        reason, sent = await outcome(connection, "GET", "key")
    assert reason in ("refused", "timeout")
    assert not sent
    await connection.close()


async def test_a_command_waits_for_a_server_that_comes_within_the_time_out(redis_server: RedisServer) -> None:
    redis_server.kill()
    connection = RedisClient.connect(redis_server.url(), timeout=10)
    call = asyncio.create_task(connection.run(COUNT, ["count"]))
    await asyncio.sleep(0.1)
    assert not call.done()
    await redis_server.start()
    assert await call == 1
    await connection.close()


async def test_a_stopped_server_makes_outcomes_unknown_first_and_then_certain(
    connection: RedisClient, redis_server: RedisServer
) -> None:
    redis_server.pause()
    with in_time():
        failures = await asyncio.gather(
            *(connection.execute("INCR", "count") for _ in range(200)), return_exceptions=True
        )
    assert all(isinstance(f, StoreUnavailable) and (f.reason, f.sent) == ("timeout", True) for f in failures)
    with in_time():
        assert await outcome(connection, "INCR", "count") == ("timeout", False)
    redis_server.resume()
    # What had been sent was executed after all: once each.
    assert await connection.execute("GET", "count") == b"200"


async def test_a_stall_costs_only_the_commands_that_are_overdue(
    connection: RedisClient, redis_server: RedisServer
) -> None:
    redis_server.pause()
    early = asyncio.create_task(connection.execute("INCR", "count"))
    await asyncio.sleep(TIMEOUT * 0.8)
    late = asyncio.create_task(connection.execute("INCR", "count"))
    with pytest.raises(StoreUnavailable):
        await early
    redis_server.resume()
    assert await late == 2


async def test_a_killed_server_leaves_unknown_only_what_was_sent(
    connection: RedisClient, redis_server: RedisServer
) -> None:
    redis_server.pause()
    call = asyncio.create_task(connection.execute("INCR", "count"))
    await asyncio.sleep(0.02)
    redis_server.kill()
    with in_time(), pytest.raises(StoreUnavailable) as failure:
        await call
    assert (failure.value.reason, failure.value.sent) == ("lost", True)
    with in_time():
        assert await outcome(connection, "INCR", "count") == ("refused", False)


@pytest.mark.parametrize("with_data", [True, False])
async def test_the_first_commands_after_a_restart_succeed(redis_server: RedisServer, with_data: bool) -> None:
    # Nobody promises in what time: on a busy machine more than the time-out of the other tests passes.
    patient = RedisClient.connect(redis_server.url(), timeout=20)
    await patient.run(COUNT, ["count"])
    for restarts in range(1, 4):
        await redis_server.restart(with_data=with_data)
        count = await patient.run(COUNT, ["count"])
        assert count == (restarts + 1 if with_data else 1)
    await redis_server.restart()
    assert len(await asyncio.gather(*(patient.run(COUNT, ["count"]) for _ in range(200)))) == 200
    await patient.close()


async def test_a_server_that_loads_its_data_is_waited_for_or_named() -> None:
    # While it loads it looks at its connections once in so many bytes.
    async with RedisServer(config={"rdbcompression": "no"}) as server:
        filling = RedisClient.connect(server.url())
        await filling.batch([("SET", f"key{n}", "v" * 1024) for n in range(2000)])
        await filling.execute("SAVE")
        await filling.close()
        server.kill()
        server.config |= {"key-load-delay": "4000", "loading-process-events-interval-bytes": "1024"}
        hasty, patient = (RedisClient.connect(server.url(), timeout=timeout) for timeout in (TIMEOUT, 60))
        starting = asyncio.create_task(server.start())
        waiting = asyncio.create_task(patient.execute("GET", "key1"))

        async def named() -> bool:
            return await outcome(hasty, "GET", "key1") == ("loading", False)

        await until(named, "the reason is seen")
        await server.call("CONFIG", "SET", "key-load-delay", 0)
        assert await waiting == b"v" * 1024
        await starting
        await hasty.close()
        await patient.close()


async def test_nothing_is_executed_twice_and_nothing_confirmed_is_lost(
    connection: RedisClient, redis_server: RedisServer
) -> None:
    confirmed = unknown = 0
    stop = asyncio.Event()

    async def count() -> None:
        nonlocal confirmed, unknown
        while not stop.is_set():
            try:
                await connection.run(COUNT, ["count"])
                confirmed += 1
            except StoreUnavailable as failure:
                unknown += failure.sent

    workers = [asyncio.create_task(count()) for _ in range(20)]
    for _ in range(4):
        await asyncio.sleep(0.15)
        redis_server.pause()
        await asyncio.sleep(0.02)
        await redis_server.restart()
        await asyncio.sleep(0.15)
        await redis_server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    stop.set()
    await asyncio.gather(*workers)
    assert confirmed > 100
    assert confirmed <= integer(await connection.execute("GET", "count")) <= confirmed + unknown


async def test_recovery_needs_no_restart_and_no_time(connection: RedisClient, redis_server: RedisServer) -> None:
    for _ in range(3):
        redis_server.kill()
        with in_time():
            await outcome(connection, "GET", "key")
        await redis_server.start()
        with in_time(0):
            await connection.ping()


async def test_a_reply_that_came_while_the_process_stood_still_is_in_time(redis_server: RedisServer) -> None:
    client = RedisClient.connect(redis_server.url(), timeout=0.2)
    await client.ping()
    # Answered after 0.1 s.
    call = asyncio.ensure_future(client.execute("BLPOP", "nothing", "0.1"))
    for _ in range(5):
        await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - so the event loop is late for everything
    assert await call is None
    await client.close()


async def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    connection: RedisClient, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.redis_client")
    redis_server.kill()
    for _ in range(3):
        await outcome(connection, "GET", "key")
    await redis_server.start()
    await connection.ping()
    assert [record.getMessage() for record in caplog.records] == ["Redis is unavailable", "Redis is available again"]
    assert all(record.exc_info is None for record in caplog.records)


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def through_proxy(proxy: FaultProxy) -> AsyncIterator[RedisClient]:
    connection = RedisClient.connect(f"redis://127.0.0.1:{proxy.port}", timeout=TIMEOUT)
    await connection.ping()
    yield connection
    await connection.close()


async def test_a_half_open_connection_costs_one_time_out(through_proxy: RedisClient, proxy: FaultProxy) -> None:
    proxy.half_open()
    with in_time():
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", True)
    with in_time(0):
        assert await through_proxy.execute("INCR", "count") == 1, "the half-open one swallowed the first"


async def test_a_network_that_swallows_everything_is_told_in_time(
    through_proxy: RedisClient, proxy: FaultProxy
) -> None:
    proxy.freeze()
    with in_time():
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", True)
    with in_time():
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", False)
    proxy.thaw()
    with in_time():
        await through_proxy.ping()


async def test_a_connection_cut_before_a_command_is_replaced_unnoticed(
    through_proxy: RedisClient, proxy: FaultProxy
) -> None:
    for count in range(1, 6):
        proxy.cut()
        await asyncio.sleep(0.01)
        assert await through_proxy.execute("INCR", "count") == count


async def test_a_connection_cut_after_a_command_leaves_its_outcome_unknown(
    through_proxy: RedisClient, proxy: FaultProxy
) -> None:
    proxy.freeze()
    call = asyncio.create_task(through_proxy.execute("INCR", "count"))
    await asyncio.sleep(0.02)
    proxy.cut()
    with pytest.raises(StoreUnavailable) as failure:
        await call
    assert (failure.value.reason, failure.value.sent) == ("lost", True)
    proxy.thaw()
    await through_proxy.ping()


async def test_a_slow_network_is_served_within_the_time_out(through_proxy: RedisClient, proxy: FaultProxy) -> None:
    proxy.delay = TIMEOUT / 10
    with in_time():
        assert len(await asyncio.gather(*(through_proxy.execute("INCR", "count") for _ in range(50)))) == 50


async def test_the_commands_of_one_request_share_its_deadline(through_proxy: RedisClient, proxy: FaultProxy) -> None:
    """What it leaves to a task without its deadline has the usual time-out."""
    proxy.delay = 0.3 * TIMEOUT
    with in_time(), Deadline(TIMEOUT):
        assert await through_proxy.execute("INCR", "count") == 1
        rest = asyncio.get_running_loop().create_task(
            through_proxy.execute("INCR", "rest"), context=context_without_deadline()
        )
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", True)
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", False)
        assert await through_proxy.batch([("INCR", "count")]) != [3]
    assert await rest == 1
    assert await through_proxy.execute("GET", "count") == b"2"


async def test_what_a_batch_was_told_before_the_connection_broke_is_kept(redis_server: RedisServer) -> None:
    connection = RedisClient.connect(redis_server.url(), timeout=TIMEOUT)
    kill = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
    first, killed, last = await connection.batch([("INCR", "first"), kill, ("INCR", "last")])
    assert (first, killed) == (1, 1)
    assert isinstance(last, StoreUnavailable)
    assert (last.reason, last.sent) == ("lost", True)
    assert await connection.execute("GET", "last") is None
    await connection.close()


async def test_a_caller_without_time_costs_nobody_the_connection(through_proxy: RedisClient, proxy: FaultProxy) -> None:
    """Only a reply that is overdue says that something is wrong with the server."""
    proxy.freeze()
    with Deadline(TIMEOUT / 10):
        assert await outcome(through_proxy, "INCR", "count") == ("timeout", True)
    proxy.thaw()
    assert await through_proxy.execute("INCR", "count") == 2
    await asyncio.sleep(TIMEOUT)
    assert await through_proxy.execute("INCR", "count") == 3
    assert proxy.connections == 1


class FakeServer(asyncio.Protocol):
    """Answers the first thing it reads with `greeting`, all that follows with `reply`; None closes the connection."""

    def __init__(self, greeting: bytes | None, reply: bytes | None) -> None:
        self.answers = itertools.chain([greeting], itertools.repeat(reply))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = next(self.answers)
        if answer is None:
            self.transport.close()
        else:
            self.transport.write(answer)


@asynccontextmanager
async def to_fake_server(greeting: bytes | None, reply: bytes | None = b"") -> AsyncIterator[RedisClient]:
    fakes: list[FakeServer] = []

    def accept() -> FakeServer:
        fakes.append(FakeServer(greeting, reply))
        return fakes[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    connection = RedisClient.connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=TIMEOUT)
    try:
        yield connection
    finally:
        await connection.close()
        server.close()
        for fake in fakes:
            fake.transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02", "protocol"),
        (b"-ERR unknown command 'HELLO', with args beginning with: '3'\r\n", "denied"),
        (b"-LOADING Redis is loading\r\n", "loading"),
        (b"%1\r\n", "timeout"),
        (b"", "timeout"),
    ],
)
async def test_a_server_that_is_no_redis_is_told_in_time(greeting: bytes, reason: str) -> None:
    async with to_fake_server(greeting) as connection:
        with in_time():
            assert await outcome(connection, "GET", "key") == (reason, False)


async def test_a_server_that_closes_at_once_is_told_in_time() -> None:
    async with to_fake_server(None) as connection:
        with in_time():
            assert await outcome(connection, "GET", "key") == ("lost", False)


HELLO = b"%1\r\n+server\r\n+redis\r\n"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"<html>\r\n", "protocol"),
        (b"$-7\r\n", "protocol"),
        (b"$10\r\nabc", "timeout"),
    ],
)
async def test_nonsense_in_reply_to_a_command_leaves_its_outcome_unknown(reply: bytes, reason: str) -> None:
    async with to_fake_server(HELLO, reply) as connection:
        with in_time():
            assert await outcome(connection, "INCR", "count") == (reason, True)


async def test_a_reply_of_more_elements_than_there_can_be_is_no_reply() -> None:
    async with to_fake_server(HELLO, b"*5000000000\r\n") as connection:
        with in_time():
            assert await outcome(connection, "INCR", "count") == ("protocol", True)


async def test_a_reply_too_many_ends_the_connection_before_it_is_taken_for_another() -> None:
    async with to_fake_server(HELLO, b":1\r\n:2\r\n") as connection:
        assert await connection.execute("INCR", "count") == 1
        await asyncio.sleep(0.01)
        assert await connection.execute("INCR", "count") == 1
