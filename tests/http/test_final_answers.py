"""Behind the answer that ends a connection nothing is written to it, whatever was under way or still comes."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import pytest

from tests.harness.here import served_here
from tests.harness.redis import RedisServer
from tests.harness.waiting import until
from tests.harness.wire import refusal, wire

JOIN = "POST /api/session/join HTTP/1.1\r\nHost: x\r\n"
NOTHING = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"
INVALID = (400, "invalid-payload")

REFUSED = {
    "a body that is expected, and wrong at once": (f"{JOIN}Expect: 100-continue\r\n{CHUNKED}x\r\n", []),
    "a body that is wrong": (f"{JOIN}{CHUNKED}x\r\n", []),
    "no HTTP behind a request": (f"{NOTHING}x\r\n\r\n", [404]),
    "a body that is wrong, expected behind a request": (
        f"{NOTHING}{JOIN}Expect: 100-continue\r\n{CHUNKED}x\r\n",
        [404],
    ),
    "a tunnel": ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", []),
    "a tunnel, and much behind it": ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + "x" * 40_000, []),
    "a tunnel behind a request": (f"{NOTHING}CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + "x" * 40_000, [404]),
}


async def test_nothing_is_written_behind_the_final_answer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.protocol._HEAD_TIMEOUT_SECONDS", 0.1)
    async with RedisServer() as redis, served_here(redis.url()) as (replica,):
        for name, (request, before) in REFUSED.items():
            async with wire(replica.port) as connection:
                await connection.write(request)
                assert [(await connection.answer())[0] for _ in before] == before, name
                assert refusal(await connection.answer()) == INVALID, name
                assert await connection.closed()
        for request, before in (("GET / HTTP", []), (f"{NOTHING}GET / HTTP", [404])):
            async with wire(replica.port) as connection:
                await connection.write(request)
                assert [(await connection.answer())[0] for _ in before] == before
                assert refusal(await connection.answer()) == (408, "request-timeout")
                await connection.write(NOTHING)
                assert await connection.closed()
        for request, _ in REFUSED.values():
            async with wire(replica.port) as connection:
                await connection.write(request)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_port_that_closes_waits_for_no_body(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncExitStack() as clients, RedisServer() as redis, served_here(redis.url()) as (replica,):
        for path in ("join", "create"):
            head = f"POST /api/session/{path} HTTP/1.1\r\nHost: x\r\n"
            connection = await clients.enter_async_context(wire(replica.port))
            await connection.write(f"{head}Content-Length: 2\r\n\r\n{{")
        state = replica.replica.public.server_state
        await until(lambda: sum(getattr(each, "cycle", None) is not None for each in state.connections) == 2)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
