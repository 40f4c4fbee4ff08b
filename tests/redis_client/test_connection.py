"""What we rely on in redis-py's connections, also in what it keeps private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest
from redis.asyncio.connection import AbstractConnection, SSLConnection

from app.redis_client.connection import abort, connect, is_closing, receive, write
from app.redis_client.errors import CommandFailed, StoreError, StoreUnavailable
from app.redis_client.link import Argument, pack
from app.redis_client.reply import Reply
from app.redis_client.url import Login, parse_url
from tests.harness.redis import RedisServer, require_tls


class Connected:
    """A connection, and what it has received: replies and pushes, and why it was lost."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self._received: asyncio.Queue[Reply | StoreError] = asyncio.Queue()
        self._lost: asyncio.Future[StoreUnavailable] = asyncio.get_running_loop().create_future()
        receive(connection, self._received.put_nowait, self._lose)

    def send(self, *commands: tuple[Argument, ...]) -> None:
        write(self.connection, b"".join(map(pack, commands)))

    async def read(self, count: int) -> list[Any]:
        """Return the next replies and pushes."""
        async with asyncio.timeout(5):
            return [await self._received.get() for _ in range(count)]

    async def lost(self) -> StoreUnavailable:
        """Return why the connection was lost, and that nothing else was received."""
        async with asyncio.timeout(5):
            error = await self._lost
        assert self._received.empty()
        return error

    def _lose(self, reason: str, detail: str) -> None:
        if not self._lost.done():
            self._lost.set_result(StoreUnavailable(reason, detail, sent=True))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connected]:
    parsed = parse_url(url)
    connection = await connect(parsed.addresses[0], parsed.login)
    try:
        yield Connected(connection)
    finally:
        abort(connection)


async def commands_of(server: RedisServer) -> set[str]:
    """The commands that the server has had since the last ``CONFIG RESETSTAT``."""
    lines = (await server.call("INFO", "commandstats")).decode().splitlines()
    return {line.partition(":")[0].removeprefix("cmdstat_") for line in lines if line.startswith("cmdstat_")}


async def test_connecting_sends_hello_and_select_and_nothing_else(redis_server: RedisServer) -> None:
    await redis_server.call("CONFIG", "RESETSTAT")
    async with connected(redis_server.url(db=1)):
        assert {name for name in await commands_of(redis_server) if name != "config|resetstat"} == {"hello", "select"}


async def test_replies_and_errors_come_in_order_as_bytes(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as opened:
        opened.send(("SET", "key", "x"), ("LPUSH", "key", 1), ("NO",), ("GET", "key"))
        replies = await opened.read(4)
        assert (replies[0], replies[3]) == (b"OK", b"x")
        assert [reply.code for reply in replies if isinstance(reply, CommandFailed)] == ["WRONGTYPE", "ERR"]


async def test_every_push_is_taken_in_order_with_the_replies(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as opened:
        opened.send(("CLIENT", "TRACKING", "ON"), ("GET", "key"), ("SSUBSCRIBE", "one"), ("SPUBLISH", "one", "x"))
        tracking, value, subscribed, message, receivers = await opened.read(5)
        assert (tracking, value, receivers) == (b"OK", None, 1)
        assert [type(push) for push in (subscribed, message)] == [hiredis.PushNotification] * 2
        assert (subscribed, message) == ([b"ssubscribe", b"one", 1], [b"smessage", b"one", b"x"])
        await redis_server.call("SET", "key", "changed")
        assert await opened.read(1) == [[b"invalidate", [b"key"]]], "one that redis-py would keep for itself"


async def test_a_reply_that_is_none_is_seen_behind_those_that_arrived_with_it() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"HELLO")
        writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
        await reader.readuntil(b"PING")
        writer.write(b"+PONG\r\n-ERR no\r\nnonsense\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connected(f"redis://{host}:{port}") as opened:
            opened.send(("PING",), ("NO",), ("PING",))
            pong, error = await opened.read(2)
            assert pong == b"PONG"
            assert isinstance(error, CommandFailed)
            assert "not the reply of a Redis" in str(await opened.lost())


async def test_the_end_of_a_connection_is_noticed(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as opened:
        assert not is_closing(opened.connection)
        await redis_server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert (await opened.lost()).reason == "lost"
        assert is_closing(opened.connection)


async def test_an_aborted_connection_is_closed_at_once_and_for_good(redis_server: RedisServer) -> None:
    async with connected(redis_server.url()) as opened:
        abort(opened.connection)
        assert is_closing(opened.connection)
        assert (await opened.lost()).reason == "lost"


async def test_tls_uses_the_context_of_the_url() -> None:
    await require_tls()
    async with RedisServer(tls=True) as server, connected(server.url()) as opened:
        assert isinstance(opened.connection, SSLConnection)
        opened.send(("PING",))
        assert await opened.read(1) == [b"PONG"]


async def test_a_wrong_login_is_denied_over_a_unix_socket_as_well() -> None:
    async with RedisServer(unix=True, users=["app on >right ~* &* +@all"]) as server:
        for login in (Login("app", "hunter2"), Login()):
            with pytest.raises(StoreUnavailable) as refusal:
                await connect(server.address, login)
            assert (refusal.value.reason, refusal.value.sent) == ("denied", False)
            assert "hunter2" not in str(refusal.value)
