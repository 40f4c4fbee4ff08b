"""What a connection does while the server is well, and what it makes of the server's refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.redis_client.client import RedisClient, Script
from app.redis_client.errors import CommandFailed, StoreUnavailable
from app.redis_client.reply import integer
from tests.harness.ports import LOOPBACK, settled, stop_listening
from tests.harness.redis import RedisServer, require_tls
from tests.harness.waiting import until

COUNT = Script("count", "return redis.call('INCR', KEYS[1])")
ECHO = Script("echo", "return {KEYS[1], ARGV[1], #ARGV, 7, false}")


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisClient]:
    connection = RedisClient.connect(redis_server.url())
    yield connection
    await connection.close()


async def test_commands_take_text_bytes_and_numbers_and_answer_bytes(connection: RedisClient) -> None:
    assert await connection.execute("SET", "text", "Zoë") == b"OK"
    assert await connection.execute("GET", "text") == "Zoë".encode()
    await connection.execute("SET", b"\x00\xff", b"\r\n\x00")
    assert await connection.execute("GET", b"\x00\xff") == b"\r\n\x00"
    assert await connection.execute("INCRBY", "integer", 41) == 41
    assert await connection.execute("INCRBYFLOAT", "integer", 0.5) == b"41.5"
    assert await connection.execute("GET", "nothing") is None
    await connection.execute("HSET", "hash", "field", "value")
    assert await connection.execute("HGETALL", "hash") == {b"field": b"value"}


async def test_connecting_does_no_io() -> None:
    came = []
    listener = await asyncio.start_server(lambda _reader, writer: came.append(writer), LOOPBACK, 0)
    connection = RedisClient.connect(f"redis://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}")
    await settled()
    await connection.close()
    await stop_listening(listener)
    assert came == []


@pytest.mark.parametrize("at_once", [200, 1000])
async def test_any_number_of_commands_at_once_get_their_own_replies(connection: RedisClient, at_once: int) -> None:
    written = await asyncio.gather(*(connection.execute("SET", f"key{n}", n) for n in range(at_once)))
    assert set(written) == {b"OK"}
    read = await asyncio.gather(*(connection.execute("GET", f"key{n}") for n in range(at_once)))
    assert read == [b"%d" % n for n in range(at_once)]


async def test_all_commands_share_one_socket(connection: RedisClient, redis_server: RedisServer) -> None:
    await asyncio.gather(*(connection.ping() for _ in range(100)))
    clients = await redis_server.call("CLIENT", "LIST")
    assert clients.count(b"\n") == 2, "ours and that of the question"


async def test_the_commands_of_one_turn_leave_in_one_write(redis_server: RedisServer) -> None:
    connection = RedisClient.connect(redis_server.url())
    await connection.ping()
    before = await reads(redis_server)
    await asyncio.gather(*(connection.ping() for _ in range(200)))
    # Counted as well: the two questions. A server reads 16 KiB at a time.
    assert await reads(redis_server) - before < 12
    await connection.close()


async def reads(server: RedisServer) -> int:
    stats = dict(line.split(b":") for line in (await server.call("INFO", "stats")).split(b"\r\n") if b":" in line)
    return int(stats[b"total_reads_processed"])


async def test_a_large_value_passes(connection: RedisClient) -> None:
    value = bytes(3_000_000)
    await connection.execute("SET", "large", value)
    assert await connection.execute("GET", "large") == value


async def test_a_script_runs_with_keys_and_arguments(connection: RedisClient) -> None:
    assert await connection.run(ECHO, ["key"], ["one", 2, b"3"]) == [b"key", b"one", 3, 7, None]
    assert await connection.run(Script("none", "return 1"), []) == 1


async def test_a_script_that_the_server_forgot_runs_once_all_the_same(
    connection: RedisClient, redis_server: RedisServer
) -> None:
    assert await connection.run(COUNT, ["count"]) == 1
    await redis_server.call("SCRIPT", "FLUSH")
    counts = await asyncio.gather(*(connection.run(COUNT, ["count"]) for _ in range(50)))
    assert sorted(map(integer, counts)) == list(range(2, 52))
    await redis_server.call("SCRIPT", "FLUSH")
    assert await connection.run(COUNT, ["count"]) == 52


async def test_a_batch_answers_in_order_with_the_error_of_a_command_in_its_place(connection: RedisClient) -> None:
    await connection.execute("SET", "text", "x")
    first, second, third = await connection.batch([("GET", "text"), ("INCR", "text"), ["GET", "text"]])
    assert (first, third) == (b"x", b"x")
    assert isinstance(second, CommandFailed)
    assert await connection.batch([]) == []


async def test_a_wrong_command_fails_with_its_code_and_disturbs_no_other(connection: RedisClient) -> None:
    await connection.execute("SET", "text", "x")
    replies = await asyncio.gather(
        connection.execute("GET", "text"),
        connection.execute("LPUSH", "text", "y"),
        connection.run(Script("broken", "return redis.call('LPUSH', KEYS[1], 'y')"), ["text"]),
        connection.execute("GET", "text"),
        return_exceptions=True,
    )
    assert (replies[0], replies[3]) == (b"x", b"x")
    for failure in replies[1:3]:
        assert isinstance(failure, CommandFailed)
        assert failure.code == "WRONGTYPE"


async def test_a_caller_who_gives_up_does_not_shift_the_replies_of_others(connection: RedisClient) -> None:
    await asyncio.gather(*(connection.execute("SET", f"key{n}", n) for n in range(100)))
    for _ in range(20):
        calls = [asyncio.create_task(connection.execute("GET", f"key{n}")) for n in range(100)]
        await asyncio.sleep(0)
        for call in calls[::3]:
            call.cancel()
        replies = await asyncio.gather(*calls, return_exceptions=True)
        for n, reply in enumerate(replies):
            assert isinstance(reply, asyncio.CancelledError) if n % 3 == 0 else reply == b"%d" % n


async def test_what_was_cancelled_before_it_was_sent_is_not_executed(redis_server: RedisServer) -> None:
    connection = RedisClient.connect(redis_server.url())
    await connection.ping()
    call = asyncio.create_task(connection.execute("INCR", "count"))
    asyncio.get_running_loop().call_soon(call.cancel)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await connection.execute("GET", "count") is None
    await connection.close()


async def test_a_full_server_refuses_writes_at_once_and_serves_reads() -> None:
    async with RedisServer(maxmemory="1") as server:
        connection = RedisClient.connect(server.url())
        for write in (connection.execute("SET", "key", "x"), connection.run(COUNT, ["count"])):
            with pytest.raises(StoreUnavailable) as refusal:
                await write
            assert (refusal.value.reason, refusal.value.sent) == ("full", False)
        assert await connection.execute("GET", "key") is None
        await server.call("CONFIG", "SET", "maxmemory", "0")
        assert await connection.run(COUNT, ["count"]) == 1
        await connection.close()


@pytest.mark.parametrize(
    ("causes", "reason"),
    [
        (["CONFIG SET min-replicas-to-write 1"], "noreplicas"),
        (["REPLICAOF 127.0.0.1 1"], "readonly"),
        (["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"], "masterdown"),
    ],
)
async def test_a_server_that_may_not_write_says_why_and_that_nothing_was_done(
    redis_server: RedisServer, causes: list[str], reason: str
) -> None:
    for cause in causes:
        await redis_server.call(*cause.split())
    connection = RedisClient.connect(redis_server.url(), timeout=0.3)
    with pytest.raises(StoreUnavailable) as refusal:
        await connection.run(COUNT, ["count"])
    assert (refusal.value.reason, refusal.value.sent) == (reason, False)
    await connection.close()


async def test_a_replica_that_becomes_primary_within_the_time_out_is_waited_for(redis_server: RedisServer) -> None:
    await redis_server.call("REPLICAOF", "127.0.0.1", 1)
    connection = RedisClient.connect(redis_server.url(), timeout=10)
    call = asyncio.create_task(connection.run(COUNT, ["count"]))
    await until(lambda: refusals(redis_server, b"READONLY"), "a write was refused")
    await redis_server.call("REPLICAOF", "NO", "ONE")
    assert await call == 1
    await connection.close()


async def refusals(server: RedisServer, code: bytes) -> bool:
    return code in await server.call("INFO", "errorstats")


async def test_a_server_busy_with_a_script_refuses_and_then_serves_again(redis_server: RedisServer) -> None:
    await redis_server.call("CONFIG", "SET", "busy-reply-threshold", 50)
    connection = RedisClient.connect(redis_server.url(), timeout=30)
    other = RedisClient.connect(redis_server.url(), timeout=0.5)
    await connection.ping()
    await other.ping()
    endless = asyncio.create_task(connection.run(Script("endless", "while true do end"), []))
    await until(lambda: is_refused_as_busy(other), "the busy server refuses")
    await redis_server.call("SCRIPT", "KILL")
    with pytest.raises(CommandFailed):
        await endless
    assert await other.run(COUNT, ["count"]) == 1
    await connection.close()
    await other.close()


async def test_a_server_without_room_for_another_client_is_named_as_such() -> None:
    async with RedisServer(config={"maxclients": "1"}) as server:
        first, second = (RedisClient.connect(server.url(), timeout=0.3) for _ in range(2))
        await until_served(first)
        with pytest.raises(StoreUnavailable) as refusal:
            await second.ping()
        assert (refusal.value.reason, refusal.value.sent) == ("maxclients", False)
        await first.close()
        await until_served(second)
        await second.close()


async def is_refused_as_busy(connection: RedisClient) -> bool:
    """A busy server is asked again until the time-out, which may come before the answer to the last attempt."""
    try:
        await connection.ping()
    except StoreUnavailable as error:
        return (error.reason, error.sent) == ("busy", False)
    return False


async def until_served(connection: RedisClient) -> None:
    async def served() -> bool:
        await connection.ping()
        return True

    await until(served, "the server has room")


async def test_a_unix_socket_and_a_database_can_be_chosen() -> None:
    async with RedisServer(unix=True) as server:
        connection = RedisClient.connect(server.url(db=3))
        await connection.execute("SET", "key", "x")
        assert b"db3:keys=1" in await server.call("INFO", "keyspace")
        await connection.close()


async def test_a_user_of_limited_rights_over_tls_gets_what_is_allowed_and_no_more() -> None:
    await require_tls()
    rules = "app on >se:c@ret resetchannels ~js:* &js:* +@all -@dangerous"
    async with RedisServer(tls=True, users=[rules]) as server:
        connection = RedisClient.connect(server.url("app:se%3Ac%40ret"))
        assert await connection.run(COUNT, ["js:count"]) == 1
        for denied in (
            connection.execute("SET", "other", 1),
            connection.execute("SPUBLISH", "other", "x"),
            connection.execute("FLUSHALL"),
        ):
            with pytest.raises(StoreUnavailable) as refusal:
                await denied
            assert (refusal.value.reason, refusal.value.sent) == ("denied", False)
        halfway = Script("halfway", "redis.call('SET', KEYS[1], 1) return redis.call('SET', 'other', 1)")
        with pytest.raises(StoreUnavailable) as refusal:
            await connection.run(halfway, ["js:first"])
        assert (refusal.value.reason, refusal.value.sent) == ("denied", True), "the script wrote before"
        await connection.close()


@pytest.mark.parametrize("credentials", ["app:hunter2", "nobody:hunter2", ":hunter2", ""])
async def test_a_wrong_login_is_denied_without_repeating_the_password(credentials: str) -> None:
    async with RedisServer(users=["app on >right ~* &* +@all"]) as server:
        connection = RedisClient.connect(server.url(credentials))
        with pytest.raises(StoreUnavailable) as refusal:
            await connection.ping()
        assert (refusal.value.reason, refusal.value.sent) == ("denied", False)
        assert "hunter2" not in str(refusal.value)
        await connection.close()


async def test_a_database_that_does_not_exist_is_denied(redis_server: RedisServer) -> None:
    connection = RedisClient.connect(redis_server.url(db=99))
    with pytest.raises(StoreUnavailable, match="is the login right") as refusal:
        await connection.ping()
    assert refusal.value.reason == "denied"
    await connection.close()


async def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    await require_tls()
    async with RedisServer(tls=True) as server:
        connection = RedisClient.connect(server.url().partition("?")[0], timeout=0.5)
        with pytest.raises(StoreUnavailable, match="certificate") as refusal:
            await connection.ping()
        assert (refusal.value.reason, refusal.value.sent) == ("refused", False)
        await connection.close()


async def test_a_closed_connection_refuses_commands_and_ends_those_under_way(redis_server: RedisServer) -> None:
    connection = RedisClient.connect(redis_server.url())
    await connection.ping()
    redis_server.pause()
    call = asyncio.create_task(connection.execute("INCR", "count"))
    await asyncio.sleep(0.01)
    await connection.close()
    with pytest.raises(StoreUnavailable) as outcome:
        await call
    assert (outcome.value.reason, outcome.value.sent) == ("lost", True)
    with pytest.raises(StoreUnavailable) as outcome:
        await connection.ping()
    assert (outcome.value.reason, outcome.value.sent) == ("closed", False)
    redis_server.resume()


async def test_closing_ends_those_who_wait_for_a_connection(redis_server: RedisServer) -> None:
    redis_server.pause()
    connection = RedisClient.connect(redis_server.url())
    call = asyncio.create_task(connection.ping())
    await asyncio.sleep(0.01)
    await connection.close()
    with pytest.raises(StoreUnavailable) as outcome:
        await call
    assert (outcome.value.reason, outcome.value.sent) == ("closed", False)
    redis_server.resume()
