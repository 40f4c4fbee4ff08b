"""The lane of joins answers byte for byte what the application answers, and leaves to it what it does not know."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from prometheus_client import generate_latest

from tests.harness.here import Here, served_here
from tests.harness.people import Api, movie
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS
from tests.harness.waiting import until
from tests.harness.wire import wire

ALLOWED: Final = "https://friends.example"
SETTINGS: Final[dict[str, Any]] = {
    "allowed_origins": ALLOWED, "affinity_cookie": "route", "affinity_bucket_cookie": "bucket", **DIGITS
}  # fmt: skip

PATH: Final = "/api/session/join"
COUNTED: Final = (
    "join_session_http_requests_total",
    "join_session_http_request_duration_seconds_count",
    "join_session_joins_total",
)

# Requests with their bodies, in which CODE stands for the code of a session.
SERVED: Final[dict[str, tuple[str, str]]] = {
    "a session": ("", '{"sessionID":"CODE"}'),
    "spaces around": ("", ' { "sessionID" : " CODE " } '),
    "a code as people type it": ("", '{"sessionID":"#CODE"}'),
    "a link": ("", '{"sessionID":"https://movies.example/#CODE/tv"}'),
    "another session": ("", '{"sessionID":"000000"}'),
    "no code": ("", '{"sessionID":"a text"}'),
    "no session id": ("", "{}"),
    "no JSON": ("", "sessionID=CODE"),
    "no body": ("", ""),
    "a bad token": ("Authorization: Bearer nonsense\r\n", '{"sessionID":"CODE"}'),
    "another scheme": ("Authorization: Basic eDp5\r\n", '{"sessionID":"CODE"}'),
    "an origin on the list": (f"Origin: {ALLOWED}\r\n", '{"sessionID":"CODE"}'),
    "an error for an origin on the list": (f"Origin: {ALLOWED}\r\n", "{}"),
    "another origin": ("Origin: https://others.example\r\n", '{"sessionID":"CODE"}'),
    "two origins": (f"Origin: https://others.example\r\nOrigin: {ALLOWED}\r\n", '{"sessionID":"CODE"}'),
    "what a preflight asks": (f"Origin: {ALLOWED}\r\nAccess-Control-Request-Method: POST\r\n", '{"sessionID":"CODE"}'),
    "the last request": ("Connection: close\r\n", '{"sessionID":"CODE"}'),
    "an offer of another protocol": ("Connection: Upgrade\r\nUpgrade: h2c\r\n", '{"sessionID":"CODE"}'),
}


def request(head: str, body: str, *, target: str = PATH, version: str = "1.1", method: str = "POST") -> str:
    length = len(body.encode())
    return f"{method} {target} HTTP/{version}\r\nHost: x\r\n{head}Content-Length: {length}\r\n\r\n{body}"


@asynccontextmanager
async def both(**settings: Any) -> AsyncIterator[tuple[Here, Here, str]]:
    """A replica with the lane and one without, and the code of a session."""
    given = {**SETTINGS, **settings}
    async with (
        RedisServer() as redis,
        served_here(redis.url(), **given, direct_joins=True) as (fast,),
        served_here(redis.url(), **given, direct_joins=False) as (plain,),
    ):
        api = Api([plain])
        made = await api.create()
        await api.close()
        yield fast, plain, made.code


async def raw(replica: Here, text: str, pieces: int = 1) -> bytes:
    """The bytes of an answer, but for the time; they are read until there is the one that follows on the connection."""
    last = request("", "", target="/nothing", method="GET")
    async with wire(replica.port) as connection:
        size = -(-len(text) // pieces)
        for start in range(0, len(text), size):
            await connection.write(text[start : start + size])
            await asyncio.sleep(0.001 if pieces > 1 else 0)
        await connection.write(last)
        return await everything(connection)


async def everything(connection: Any) -> bytes:
    answered = b""
    async with asyncio.timeout(5):
        while b'"code":"not-found"' not in answered and (more := await connection._reader.read(65_536)):
            answered += more
    return re.sub(rb"(?m)^date: .*\r\n", b"", answered)


def reaches(replica: Here) -> Callable[[], int]:
    """How many requests have reached the application since."""
    config = replica.replica.public.config
    application, count = config.loaded_app, 0

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        nonlocal count
        count += scope["path"] != "/nothing"
        await application(scope, receive, send)

    config.loaded_app = noted
    return lambda: count


async def test_answers_are_the_same_byte_for_byte_with_and_without_the_lane() -> None:
    async with both() as (fast, plain, code):
        reached = reaches(fast)
        for draining in (False, True):
            fast.replica.health.draining = plain.replica.health.draining = draining
            for name, (head, body) in SERVED.items():
                for target in (PATH, f"{PATH}/"):
                    text = request(head, body.replace("CODE", code), target=target)
                    expected = await raw(plain, text)
                    assert await raw(fast, text) == expected, name
                    assert (b"\r\nset-cookie: route=;" in expected) is draining
                    assert (b"\r\nset-cookie: bucket=" in expected) is expected.startswith(b"HTTP/1.1 200 ")
        assert reached() == 0


async def test_large_answers_are_compressed_alike() -> None:
    async with both(compression=True) as (fast, plain, _):
        api = Api([plain])
        made = await api.create(movies=[movie(f"m{number}") for number in range(30)])
        await api.close()
        for accepted in ("gzip", "gzip, deflate, br", "gzip;q=0", "identity"):
            for origin in ("", f"Origin: {ALLOWED}\r\n"):
                head = f"{origin}Accept-Encoding: {accepted}\r\n"
                text = request(head, f'{{"sessionID":"{made.code}"}}')
                expected = await raw(plain, text)
                assert await raw(fast, text) == expected
                assert b"\r\nvary: Accept-Encoding, Origin\r\n" in expected
                assert (b"\r\ncontent-encoding: gzip\r\n" in expected) == accepted.endswith(("gzip", "br"))


async def test_a_body_may_come_in_pieces() -> None:
    async with both() as (fast, plain, code):
        reached = reaches(fast)
        text = request("", f'{{"sessionID":"{code}"}}')
        expected = await raw(plain, text)
        for pieces in (2, 3, len(text)):
            assert await raw(fast, text, pieces) == expected
        assert reached() == 0


@pytest.mark.parametrize(
    "text",
    [
        request("", '{"sessionID":"CODE"}', target=f"{PATH}?x=1"),
        request("", '{"sessionID":"CODE"}', target="/api/session/%6aoin"),
        request("", '{"sessionID":"CODE"}', target=f"//x{PATH}"),
        request("", '{"sessionID":"CODE"}', version="1.0"),
        request("", "", method="GET"),
        request("", "", method="OPTIONS"),
        request("", "x" * 16_385),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_unusual_is_left_to_the_application(text: str) -> None:
    async with both() as (fast, plain, code):
        reached = reaches(fast)
        text = text.replace("CODE", code)
        assert await raw(fast, text) == await raw(plain, text)
        assert reached() == 1


async def test_a_head_that_is_known_changes_no_answer() -> None:
    async with both() as (fast, plain, code):
        bodies = (f'{{"sessionID":"{code}"}}', '{"sessionID":"000000"}', '{"sessionID":"00000x"}')
        joins = [request("", body) for body in bodies]
        other, last = request("X-Other: 1\r\n", bodies[0]), request("Connection: close\r\n", bodies[0])
        pieces = (
            *(joins * 2),
            request("", "{}"),
            *joins,
            joins[0] + joins[1],
            joins[0][:-3],
            joins[0][-3:] + joins[1][:20],
            joins[1][20:],
            "\r\n" + joins[0],
            joins[2],
            *([other] * 3),
            joins[0],
            *([last] * 2),
        )
        answers = []
        for replica in (fast, plain):
            seen = []
            async with wire(replica.port) as connection:
                for piece in pieces[:-1]:
                    await connection.write(piece)
                    await asyncio.sleep(0.02)
                seen.append(await everything(connection))
            answers.append(seen)
            async with wire(replica.port) as connection:
                await connection.write(pieces[-1])
                seen.append(await everything(connection))
        assert answers[0] == answers[1]
        assert answers[0][0].count(b"HTTP/1.1 ") == len(pieces) - 1


async def test_no_part_of_a_request_is_taken_for_a_head() -> None:
    async with both() as (fast, plain, code):
        # As many bytes behind the first three as the body of the request before has.
        part = "POST /ap"
        first = request("", "x" * (len(part) - 3))
        rest = request("", f'{{"sessionID":"{code}"}}').removeprefix(part)
        answers = []
        for replica in (fast, plain):
            async with wire(replica.port) as hostile:
                assert (await hostile.ask(first))[0] == 400
                await hostile.write(part)
                await asyncio.sleep(0.05)
            async with wire(replica.port) as connection:
                assert (await connection.ask(first))[0] == 400
                await connection.write(part)
                await asyncio.sleep(0.05)
                await connection.write(rest)
                answers.append((await connection.answer())[::2])
        assert answers[0] == answers[1]
        assert answers[0][0] == 200


async def test_answers_come_in_the_order_of_the_requests() -> None:
    async with both() as (fast, plain, code):
        join = request("", f'{{"sessionID":"{code}"}}')
        unknown = request("", '{"sessionID":"000000"}')
        text = join + unknown + request("", "", target="/openapi.json", method="HEAD") + join + unknown * 3
        assert await raw(fast, text) == await raw(plain, text)


async def test_a_failure_of_redis_is_the_same_answer() -> None:
    async with both(redis_timeout=0.3) as (fast, plain, code):
        text = request("", f'{{"sessionID":"{code}"}}')
        await fast.replica.redis.client.close()
        await plain.replica.redis.client.close()
        expected = await raw(plain, text)
        assert b'{"message":"Failed to join session"}' in expected
        assert await raw(fast, text) == expected


async def test_an_error_of_ours_is_the_same_answer_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with both() as (fast, plain, code):
        text = request("", f'{{"sessionID":"{code}"}}')
        for replica in (fast, plain):
            # What has no such method fails as a bug of ours would.
            replica.replica.sessions.service.finder._store = object()  # type: ignore[assignment]
        expected = await raw(plain, text)
        assert expected.startswith(b"HTTP/1.1 500 ")
        assert await raw(fast, text) == expected
    logged = [record for record in caplog.records if record.message == "unexpected error in a request"]
    assert len(logged) == 2


async def test_requests_are_counted_alike() -> None:
    async with both() as (fast, plain, code):
        for replica in (fast, plain):
            for body in (f'{{"sessionID":"{code}"}}', "{}", '{"sessionID":"000000"}'):
                await raw(replica, request("", body))
        counted = [
            {
                line
                for line in generate_latest(replica.replica.metrics.registry).decode().splitlines()
                if line.startswith(COUNTED)
            }
            for replica in (fast, plain)
        ]
        assert any('route="/api/session/join",status="404"} 1.0' in line for line in counted[0])
        assert 'join_session_joins_total{result="session-id-required",way="http"} 1.0' in counted[0]
        # Only one of them has made the session.
        assert {line for line in counted[0] ^ counted[1] if "create" not in line} == set()


async def test_a_client_that_goes_costs_no_answer_and_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with both(unlimited_addresses="", redis_timeout=1) as (fast, _, code):
        state = fast.replica.public.server_state
        for text in (request("", f'{{"sessionID":"{code}"}}')[:-3], request("", f'{{"sessionID":"{code}"}}')):
            async with wire(fast.port) as connection:
                await connection.write(text)

            async def over() -> bool:
                return not state.tasks and not state.connections

            await until(over, "nothing is left of the request")
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_behind_a_proxy_the_requests_of_an_address_are_bounded_all_the_same() -> None:
    settings = {"trusted_proxies": "127.0.0.0/8", "unlimited_addresses": "", "max_tcp_connections_per_address": 2}
    async with both(**settings) as (fast, plain, code):
        for replica in (fast, plain):
            head = "X-Forwarded-For: 203.0.113.7\r\n"
            whole = request(head, f'{{"sessionID":"{code}"}}')
            async with wire(replica.port) as one, wire(replica.port) as other, wire(replica.port) as third:
                for connection in (one, other):
                    await connection.write(whole[:-1])
                await asyncio.sleep(0.1)
                assert (await third.ask(whole))[::2] == (429, b'{"message":"Too many requests"}')
                for connection in (one, other):
                    assert (await connection.ask(whole[-1:]))[0] == 200
                assert (await third.ask(whole))[0] == 200
