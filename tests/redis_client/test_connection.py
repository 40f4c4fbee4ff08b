"""What we rely on in redis-py's connections, also in what it keeps private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest
from redis.asyncio.connection import AbstractConnection, SSLConnection

from app.redis_client.connection import abort, connect, is_closing, read_replies, write
from app.redis_client.errors import CommandFailed, StoreUnavailable
from app.redis_client.link import Argument, pack
from app.redis_client.url import Login, parse_url
from tests.harness.redis import RedisServer, require_tls


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    parsed = parse_url(url)
    connection = await connect(parsed.addresses[0], parsed.login)
    try:
        yield connection
    finally:
        abort(connection)


async def read(connection: AbstractConnection, count: int) -> list[Any]:
    """The next replies and pushes, however many arrive together."""
    replies: list[Any] = []
    while len(replies) < count:
        replies += await read_replies(connection)
    assert len(replies) == count
    return replies


def send(connection: AbstractConnection, *commands: tuple[Argument, ...]) -> None:
    write(connection, b"".join(map(pack, commands)))


async def commands_of(server: RedisServer) -> set[str]:
    """The commands that the server has had since the last ``CONFIG RESETSTAT``."""
    lines = (await server.call("INFO", "commandstats")).decode().splitlines()
    return {line.partition(":")[0].removeprefix("cmdstat_") for line in lines if line.startswith("cmdstat_")}


async def test_connecting_sends_hello_and_select_and_nothing_else(redis_server: RedisServer) -> None:
    await redis_server.call("CONFIG", "RESETSTAT")
    async with connected(redis_server.url(db=1)):
        assert {name for name in await commands_of(redis_server) if name != "config|resetstat"} == {"hello", "select"}


async def test_replies_and_errors_come_in_order_as_bytes(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as connection:
        send(connection, ("SET", "key", "x"), ("LPUSH", "key", 1), ("NO",), ("GET", "key"))
        replies = await read(connection, 4)
        assert (replies[0], replies[3]) == (b"OK", b"x")
        assert [reply.code for reply in replies if isinstance(reply, CommandFailed)] == ["WRONGTYPE", "ERR"]


async def test_every_push_is_taken_in_order_with_the_replies(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as connection:
        send(connection, ("CLIENT", "TRACKING", "ON"), ("GET", "key"), ("SSUBSCRIBE", "one"), ("SPUBLISH", "one", "x"))
        tracking, value, subscribed, message, receivers = await read(connection, 5)
        assert (tracking, value, receivers) == (b"OK", None, 1)
        assert [type(push) for push in (subscribed, message)] == [hiredis.PushNotification] * 2
        assert (subscribed, message) == ([b"ssubscribe", b"one", 1], [b"smessage", b"one", b"x"])
        await redis_server.call("SET", "key", "changed")
        assert await read(connection, 1) == [[b"invalidate", [b"key"]]], "one that redis-py would keep for itself"


async def test_a_reply_that_is_none_is_seen_behind_those_that_arrived_with_it() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"HELLO")
        writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
        await reader.readuntil(b"PING")
        writer.write(b"+PONG\r\n-ERR no\r\nnonsense\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connected(f"redis://{host}:{port}") as connection:
            send(connection, ("PING",), ("NO",), ("PING",))
            pong, error = await read(connection, 2)
            assert pong == b"PONG"
            assert isinstance(error, CommandFailed)
            with pytest.raises(StoreUnavailable, match="not the reply of a Redis"):
                await read_replies(connection)


async def test_the_end_of_a_connection_is_seen_before_and_after_reading(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as connection:
        assert not is_closing(connection)
        reading = asyncio.create_task(read_replies(connection))
        await redis_server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(StoreUnavailable, match="lost"):
            await reading
        assert is_closing(connection)


async def test_an_aborted_connection_is_closed_at_once_and_for_good(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as connection:
        reading = asyncio.create_task(read_replies(connection))
        await asyncio.sleep(0)
        abort(connection)
        assert is_closing(connection)
        with pytest.raises(StoreUnavailable, match="lost"):
            await reading


async def test_tls_uses_the_context_of_the_url() -> None:
    await require_tls()
    async with RedisServer(tls=True) as server, connected(server.url()) as connection:
        assert isinstance(connection, SSLConnection)
        send(connection, ("PING",))
        assert await read(connection, 1) == [b"PONG"]


async def test_a_wrong_login_is_denied_over_a_unix_socket_as_well() -> None:
    async with RedisServer(unix=True, users=["app on >right ~* &* +@all"]) as server:
        for login in (Login("app", "hunter2"), Login()):
            with pytest.raises(StoreUnavailable) as refusal:
                await connect(server.address, login)
            assert (refusal.value.reason, refusal.value.sent) == ("denied", False)
            assert "hunter2" not in str(refusal.value)
