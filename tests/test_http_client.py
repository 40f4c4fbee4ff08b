"""Single requests over HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.http_client import request
from tests.harness.ports import LOOPBACK, free_port


@asynccontextmanager
async def responding(answer: bytes | None, requests: list[bytes]) -> AsyncIterator[str]:
    """A server that answers every request with the same bytes, or not at all; the URL it is at."""
    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://{LOOPBACK}:{port}"
        await asyncio.gather(*(task for task in served if task is not None))


async def test_a_response_is_read_whatever_its_status_and_nobody_is_redirected() -> None:
    requests: list[bytes] = []
    answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with responding(answer, requests) as url:
        response = await request("GET", f"{url}/path?a=1", headers=[(b"X-One", b"1")], timeout=5)
    assert (response.status, bytes(response.body)) == (302, b"hi")
    assert (b"location", b"/elsewhere") in response.headers
    (head,) = requests
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /path?a=1 HTTP/1.1"
    assert {"Connection: close", "X-One: 1", f"Host: {url.removeprefix('http://')}"} <= set(lines)


async def test_an_interim_response_is_not_the_response() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    async with responding(answer, []) as url:
        response = await request("GET", url, timeout=5)
    assert (response.status, response.headers) == (204, [])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection ended before the response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "the connection ended before the response"),
        (b"+PONG\r\n", "the answer is not HTTP"),
    ],
)
async def test_why_there_is_no_response_is_said_for_people(answer: bytes, reason: str) -> None:
    async with responding(answer, []) as url:
        with pytest.raises(ConnectionError, match=f"^{reason}$"):
            await request("GET", url, timeout=5)


async def test_nobody_listening_is_a_refused_connection() -> None:
    with pytest.raises(ConnectionError, match=r"^Connection refused$"):
        await request("GET", f"http://{LOOPBACK}:{free_port()}", timeout=5)


async def test_silence_is_over_after_the_timeout() -> None:
    async with responding(None, []) as url:
        with pytest.raises(ConnectionError, match=r"^no answer within 0\.1 s$"):
            await request("GET", url, timeout=0.1)


async def test_no_more_of_a_body_is_read_than_was_asked_for() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000
    async with responding(answer, []) as url:
        response = await request("GET", url, timeout=5, most=1024)
    assert response.status == 200
    assert 1024 <= len(response.body) <= 2048


async def test_endless_headers_are_no_response_where_little_was_asked_for() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000
    async with responding(answer, []) as url:
        with pytest.raises(ConnectionError, match="the headers are too long"):
            await request("GET", url, timeout=5, most=1024)
