"""Heads of requests: how large they may be, what has to be in them, and where a request ends."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness.here import Here
from tests.harness.people import Api
from tests.harness.service import UNKNOWN
from tests.harness.wire import UPGRADE, refusal, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_BYTES = 16_384
MAX_FIELDS = 100
JOIN = "POST /api/session/join HTTP/1.1\r\nHost: x\r\n"
NO_SUCH = b'{"message":"Session not found or has expired"}'
TOO_LARGE = (431, "headers-too-large")
INVALID = (400, "invalid-payload")


def public(replica: Here) -> tuple[int, str]:
    return replica.port, "/socket.io/?EIO=4&transport=websocket"


def internal(replica: Here) -> tuple[int, str]:
    return replica.internal_port, "/forwarded"


def heads_too_large(path: str) -> Iterator[str]:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n"
    for upgrade in ("", UPGRADE):
        yield request + upgrade + "X-Pad: " + "x" * MAX_BYTES + "\r\n\r\n"
        yield request + upgrade + "".join(f"X-{number}: 1\r\n" for number in range(MAX_FIELDS)) + "\r\n"
        yield request + upgrade + "X: 1\r\n" * 5000 + "\r\n"
    yield "GET /" + "x" * MAX_BYTES + " HTTP/1.1\r\nHost: x\r\n\r\n"
    yield request + "X: " + "x" * 70_000
    yield "GET /" + "x" * 70_000
    yield request + "X: 1\r\n" * 5000


@pytest.mark.parametrize("port", [public, internal])
async def test_a_head_has_at_most_16_kib_and_100_fields(service: list[Here], port: object) -> None:
    number, path = port(service[0])  # type: ignore[operator]
    for head in heads_too_large(path):
        async with wire(number) as connection:
            assert refusal(await connection.ask(head)) == TOO_LARGE, head[:80]
            assert await connection.closed()


async def test_a_head_that_comes_in_pieces_is_bounded_too(service: list[Here]) -> None:
    async with wire(service[0].port) as connection:
        await connection.write("GET / HTTP/1.1\r\nHost: x\r\n")
        try:
            for _ in range(40):
                await connection.write("X-Pad: " + "x" * 1000 + "\r\n")
        except ConnectionError:
            pass
        assert refusal(await connection.answer()) == TOO_LARGE


async def test_a_head_within_the_bounds_is_served(service: list[Here]) -> None:
    request = f'{JOIN}Content-Length: 26\r\n{{fields}}\r\n{{{{"sessionID":"{UNKNOWN}"}}}}'
    async with wire(service[0].port) as connection:
        for fields in ("X: 1\r\n" * (MAX_FIELDS - 2), "X: " + "x" * (MAX_BYTES - 200) + "\r\n"):
            assert (await connection.ask(request.format(fields=fields)))[::2] == (404, NO_SUCH)
    async with wire(service[0].port) as connection:
        await connection.write(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{UPGRADE}")
        await connection.write("X: 1\r\n" * (MAX_FIELDS - 6), "Cookie: " + "x" * 12_000 + "\r\n\r\n")
        assert (await connection.answer())[0] == 101


async def test_fields_behind_a_body_are_bounded_and_reach_nobody(api: Api, service: list[Here]) -> None:
    made = await api.create()
    body = f'{{"sessionID":"{made.code}"}}'
    chunked = f"{JOIN}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n"
    async with wire(service[0].port) as connection:
        status, _, content = await connection.ask(chunked, "Host: y\r\nX-Trailer: 1\r\n\r\n")
        assert (status, json.loads(content)["sessionID"]) == (200, made.code)
    for trailer in ("X: 1\r\n" * 5000, "X: " + "x" * 70_000):
        async with wire(service[0].port) as connection:
            assert refusal(await connection.ask(chunked, trailer)) == TOO_LARGE
            assert await connection.closed()


@pytest.mark.parametrize(
    "head",
    [
        "GET /openapi.json HTTP/1.1\r\n",
        "GET /openapi.json HTTP/1.1\r\nHost: x\r\nHost: x\r\n",
        "GET /openapi.json HTTP/1.1\r\nHost: x\r\nhost: y\r\n",
        "GET /openapi.json HTTP/1.0\r\nHost: x\r\nHost: y\r\n",
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{UPGRADE}",
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nHost: x\r\n{UPGRADE}",
    ],
    ids=["none", "two", "two names", "two in 1.0", "no host, websocket", "two, websocket"],
)
async def test_a_request_names_one_host(service: list[Here], head: str) -> None:
    for port in (service[0].port, service[0].internal_port):
        async with wire(port) as connection:
            assert refusal(await connection.ask(head, "\r\n")) == INVALID
            assert await connection.closed()


SMUGGLED = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "two lengths": "Content-Length: 0\r\nContent-Length: 44\r\n",
    "the same length twice": "Content-Length: 44\r\nContent-Length: 44\r\n",
    "list of lengths": "Content-Length: 44, 44\r\n",
    "length and chunks": "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n",
    "plus": "Content-Length: +44\r\n",
    "hexadecimal": "Content-Length: 0x2c\r\n",
    "space in a length": "Content-Length: 4 4\r\n",
    "space before the colon": "Transfer-Encoding : chunked\r\n",
    "another coding last": "Transfer-Encoding: chunked, identity\r\n",
    "unknown coding": "Transfer-Encoding: xchunked\r\n",
    "identity": "Transfer-Encoding: identity\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "line feed alone": "X: 1\nContent-Length: 0\r\n",
    "carriage return alone": "X: 1\rContent-Length: 0\r\n",
    "null": "X: \x00\r\nContent-Length: 0\r\n",
    "folded": "X: 1\r\n Content-Length: 0\r\n",
    "folded coding": "Transfer-Encoding:\r\n chunked\r\n",
}


@pytest.mark.parametrize("fields", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_where_a_request_ends_is_not_guessed(service: list[Here], fields: str) -> None:
    async with wire(service[0].port) as connection:
        assert refusal(await connection.ask(JOIN, fields, "\r\n", SMUGGLED)) == INVALID
        assert await connection.closed()
