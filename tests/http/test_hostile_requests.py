"""What comes over the wire before there is a request: slow, endless, malformed; and every error in one envelope."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.people import Api
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN, Replica, replicas
from tests.harness.wire import UPGRADE, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOIN = "POST /api/session/join HTTP/1.1\r\nHost: x\r\n"
CREATE = "POST /api/session/create HTTP/1.1\r\nHost: x\r\n"
REQUIRED = b'{"message":"sessionID is required"}'
TOO_LARGE = b'{"message":"Request body too large"}'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service() -> AsyncIterator[list[Replica]]:
    """A process of its own, whose log is read in the end."""
    async with RedisServer() as redis, replicas(redis.url()) as started:
        yield started


async def test_the_answer_to_a_join_has_a_length_and_no_trailing_newline(service: list[Replica]) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(JOIN, "Content-Length: 2\r\n\r\n{}")
        status, headers, body = await connection.answer()
    assert (status, body, headers["content-length"]) == (400, REQUIRED, str(len(REQUIRED)))
    assert "server" not in headers


async def test_a_chunked_body_is_read(api: Api, service: list[Replica]) -> None:
    made = await api.create()
    async with wire(service[0].port) as connection:
        await connection.write(JOIN, "Transfer-Encoding: chunked\r\n\r\n")
        for part in ('{"sess', 'ionID":', f'"{made.code}"}}'):
            await connection.write(f"{len(part):x}\r\n{part}\r\n")
        await connection.write("0\r\n\r\n")
        status, _, body = await connection.answer()
    assert (status, json.loads(body)["sessionID"]) == (200, made.code)


async def test_a_body_over_the_limit_is_413_before_it_is_sent(service: list[Replica]) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(JOIN, "Content-Length: 16385\r\n\r\n")
        assert (await connection.answer())[::2] == (413, TOO_LARGE)


@pytest.mark.parametrize("length", [10**9, 10**18])
async def test_a_body_beyond_all_limits_is_413_before_it_is_sent(service: list[Replica], length: int) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(JOIN, f"Content-Length: {length}\r\n\r\n")
        assert (await connection.answer())[::2] == (413, TOO_LARGE)


async def test_a_body_over_the_limit_is_413_when_its_length_is_not_told(service: list[Replica]) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(JOIN, "Transfer-Encoding: chunked\r\n\r\n", f"{20_000:x}\r\n" + "x" * 20_000)
        await connection.write("\r\n0\r\n\r\n")
        assert (await connection.answer())[::2] == (413, TOO_LARGE)


@pytest.mark.parametrize("request_line", [JOIN, CREATE, "POST /nowhere HTTP/1.1\r\nHost: x\r\n"])
async def test_an_endless_body_is_answered_and_not_kept(service: list[Replica], request_line: str) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(request_line, "Transfer-Encoding: chunked\r\n\r\n")
        chunk = f"{65_536:x}\r\n" + "x" * 65_536 + "\r\n"
        try:
            for _ in range(160):
                await connection.write(chunk)
        except ConnectionError:
            pass
        status, _, body = await connection.answer()
    assert status in (404, 413)
    assert set(json.loads(body)) >= {"message"}


async def test_a_body_that_does_not_come_is_408(service: list[Replica]) -> None:
    async with wire(service[0].port) as join, wire(service[0].port) as create:
        await join.write(JOIN, 'Content-Length: 100\r\n\r\n{"sessionID":')
        await create.write(CREATE, "Content-Length: 100\r\n\r\n{")
        answers = await asyncio.gather(join.answer(9), create.answer(9))
        # What comes later is not to be taken for the next request.
        assert await join.closed(1)
        assert await create.closed(1)
    assert [status for status, _, _ in answers] == [408, 408]
    assert answers[0][2] == b'{"message":"Request timed out"}'
    assert json.loads(answers[1][2]) == {"message": "Request timed out", "code": "request-timeout"}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"POST /api/session/join HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        JOIN.encode() + b"Content-Length: -1\r\n\r\n",
        JOIN.encode() + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        JOIN.encode() + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        JOIN.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        JOIN.encode() + b"Bad Header: 1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no HTTP", "version", "path", "negative", "two lengths", "length and chunks", "chunk size", "header", "TLS"],
)
async def test_what_is_not_http_is_400_as_json_and_closed(service: list[Replica], request_bytes: bytes) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(request_bytes)
        status, headers, body = await connection.answer()
        assert await connection.closed()
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert isinstance(json.loads(body)["message"], str)
    assert headers["x-error-code"]


@pytest.mark.slow
async def test_a_head_that_does_not_come_ends_the_connection(service: list[Replica]) -> None:
    async def wait(beginning: str) -> tuple[int, bytes]:
        async with wire(service[0].port) as connection:
            await connection.write(beginning)
            return (await connection.answer(15))[::2]

    answers = await asyncio.gather(*(wait(text) for text in ("", "GET / HT", "GET / HTTP/1.1\r\nHost:")))
    assert answers == [(408, b'{"message":"Request timed out","code":"request-timeout"}')] * 3


async def test_requests_may_follow_each_other_on_one_connection(api: Api, service: list[Replica]) -> None:
    body = f'{{"sessionID":"{UNKNOWN}"}}'
    request = f"{JOIN}Content-Length: {len(body)}\r\n\r\n{body}"
    async with wire(service[0].port) as connection:
        await connection.write(request * 5)
        answers = [await connection.answer() for _ in range(5)]
    assert {(status, content) for status, _, content in answers} == {
        (404, b'{"message":"Session not found or has expired"}')
    }


async def test_http_1_0_is_served(service: list[Replica]) -> None:
    async with wire(service[0].port) as connection:
        await connection.write("POST /api/session/join HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        assert (await connection.answer())[::2] == (400, REQUIRED)
        assert await connection.closed()


FRAMEWORK_ERRORS: list[tuple[str, str, int, str]] = [
    ("GET", "/", 404, "not-found"),
    ("GET", "/index.html", 404, "not-found"),
    ("GET", "/api", 404, "not-found"),
    ("GET", "/api/session", 404, "not-found"),
    ("GET", "/api/session/", 404, "not-found"),
    ("POST", "/api/session/123456/nothing", 404, "not-found"),
    ("GET", "/api/session//join", 404, "not-found"),
    ("POST", "/API/session/join", 404, "not-found"),
    ("GET", "/api/session/%2e%2e/%2e%2e/etc/passwd", 404, "not-found"),
    ("GET", "/healthz", 404, "not-found"),
    ("GET", "/readyz", 404, "not-found"),
    ("GET", "/metrics", 404, "not-found"),
    ("GET", "/static/app.js", 404, "not-found"),
    ("GET", "/api/session/create", 405, "method-not-allowed"),
    ("POST", "/api/session/123456", 405, "method-not-allowed"),
    ("GET", "/api/session/123456/movies", 405, "method-not-allowed"),
    ("POST", "/api/session/123456/movies/a/vote", 405, "method-not-allowed"),
    ("GET", "/api/session/123456/participants/a", 405, "method-not-allowed"),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"), FRAMEWORK_ERRORS, ids=[row[1] for row in FRAMEWORK_ERRORS]
)
async def test_every_error_is_json_with_message_and_code(
    service: list[Replica], method: str, path: str, status: int, code: str
) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        answered, headers, body = await connection.answer()
    assert (answered, headers["content-type"], headers["x-error-code"]) == (status, "application/json", code)
    error: dict[str, Any] = json.loads(body)
    assert (set(error), error["code"]) == ({"message", "code"}, code)
    assert ("allow" in headers) == (status == 405)


@pytest.mark.parametrize("path", ["/", "/api/session/join", "/socket.io/?EIO=3&transport=websocket"])
async def test_a_websocket_that_is_not_for_us_is_refused_as_json(service: list[Replica], path: str) -> None:
    async with wire(service[0].port) as connection:
        await connection.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        status, headers, body = await connection.answer()
    assert 400 <= status < 500
    assert headers["content-type"] == "application/json"
    assert isinstance(json.loads(body)["message"], str)


async def test_nothing_of_all_this_leaves_a_traceback(service: list[Replica]) -> None:
    lines = service[0].logs()
    assert not [line for line in lines if "text" in line]
    assert not [line for line in lines if line.get("level") in ("error", "critical")]
