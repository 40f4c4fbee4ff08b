"""Attempts on heads of requests and on TCP connections."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.harness.redis import RedisServer
from tests.harness.unread import Unread, large
from tests.harness.wire import refusal, wire
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []

_NOTHING = "GET /nothing HTTP/1.1\r\nHost: x\r\n"
_TOO_LARGE = (431, "headers-too-large")
_FULL = (503, "unavailable")


@exceeds("Bytes of request line and headers")
async def a_large_head(redis: RedisServer) -> None:
    async with limited(redis) as replica, wire(replica.here.port) as connection:
        assert (await connection.ask(_NOTHING, "X: " + "x" * 16_200, "\r\n\r\n"))[0] == 404
        assert refusal(await connection.ask(_NOTHING, "X: " + "x" * 16_384, "\r\n\r\n")) == _TOO_LARGE


@exceeds("Header fields, or trailer fields")
async def a_head_of_many_fields(redis: RedisServer) -> None:
    async with limited(redis) as replica, wire(replica.here.port) as connection:
        assert (await connection.ask(_NOTHING, "X: 1\r\n" * 99, "\r\n"))[0] == 404
        assert refusal(await connection.ask(_NOTHING, "X: 1\r\n" * 100, "\r\n")) == _TOO_LARGE


@exceeds("Time to send request line and headers")
async def a_head_that_does_not_come(redis: RedisServer) -> None:
    async with limited(redis) as replica, wire(replica.here.port) as connection:
        assert refusal(await connection.answer(12)) == (408, "request-timeout")


@exceeds("Pipelined requests that wait")
async def requests_without_end(redis: RedisServer) -> None:
    async with limited(redis) as replica, wire(replica.here.port) as connection:
        await connection.write(f"{_NOTHING}\r\n" * 1000)
        statuses: list[int] = []
        while not statuses or statuses[-1] == 404:
            statuses.append((await connection.answer())[0])
        assert (len(statuses), statuses[-1]) == (66, 429)


@exceeds("TCP connections")
async def more_connections_than_a_port_takes(redis: RedisServer) -> None:
    async with limited(redis, max_tcp_connections=3) as replica, AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(wire(replica.here.port))
            assert (await connection.ask(_NOTHING, "\r\n"))[0] == 404
        refused = await stack.enter_async_context(wire(replica.here.port))
        assert refusal(await refused.answer()) == _FULL


@exceeds("TCP connections of an address, or its concurrent requests behind a proxy")
async def more_connections_than_an_address_may_have(redis: RedisServer) -> None:
    settings = {"max_tcp_connections_per_address": 3, "trusted_proxies": "192.0.2.0/24"}
    async with limited(redis, **settings) as replica, AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(wire(replica.here.port))
            assert (await connection.ask(_NOTHING, "\r\n"))[0] == 404
        refused = await stack.enter_async_context(wire(replica.here.port))
        assert refusal(await refused.answer()) == _FULL


@exceeds("Time for a client to read a response")
async def an_answer_that_nobody_reads(redis: RedisServer) -> None:
    async with limited(redis, write_timeout=0.2) as replica:
        with Unread(replica.here.port, await large(replica.here)) as unread:
            assert await unread.aborted()


@exceeds("Bytes of responses that clients have not read")
async def answers_that_nobody_reads(redis: RedisServer) -> None:
    async with limited(redis, max_unread_bytes=600_000) as replica, AsyncExitStack() as stack:
        path = await large(replica.here)
        unread = [stack.enter_context(Unread(replica.here.port, path)) for _ in range(6)]
        assert await unread[0].aborted()
