"""Requests that ask for another protocol: what is not a WebSocket for us is served as the request that it is."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.nginx import passing_upgrades_on
from tests.harness.people import Api
from tests.harness.programs import program
from tests.harness.redis import RedisServer
from tests.harness.service import Replica, replicas
from tests.harness.sockets import Socket
from tests.harness.wire import UPGRADE, refusal, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW: Final = re.compile(rb'"now":"[^"]+"')
SOCKET = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
BODY = '{"title":"Friday","capacity":7}'
CREATE = f"POST /api/session/create HTTP/1.1\r\nHost: x\r\n{H2C}"
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
CLIENT = Path(__file__).parent / "resources" / "Client.java"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service() -> AsyncIterator[list[Replica]]:
    """A process of its own, whose log is read in the end."""
    async with RedisServer() as redis, replicas(redis.url()) as started:
        yield started


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
@pytest.mark.parametrize(
    "request_text",
    [
        f"{CREATE}Content-Length: {len(BODY)}\r\n\r\n{BODY}",
        f"{CREATE}Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_a_request_that_offers_another_protocol_keeps_its_body(
    service: list[Replica], request_text: str, piece: int
) -> None:
    async with wire(service[0].port) as connection:
        for start in range(0, len(request_text), piece):
            await connection.write(request_text[start : start + piece])
            if piece < 100:
                await asyncio.sleep(0)
        status, _, body = await connection.answer()
        assert (status, json.loads(body)["meta"]["title"], json.loads(body)["meta"]["capacity"]) == (201, "Friday", 7)
        # One request has one answer, and the connection is as good as before.
        assert (await connection.ask("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 404


async def test_requests_that_offer_another_protocol_may_follow_each_other(service: list[Replica]) -> None:
    request = f"{CREATE}Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    async with wire(service[0].port) as connection:
        await connection.write(request * 3, f"GET /nothing HTTP/1.1\r\nHost: x\r\n{H2C}\r\n")
        assert [(await connection.answer())[0] for _ in range(4)] == [201, 201, 201, 404]


@pytest.fixture(params=["direct", "behind nginx"])
def entrance(request: pytest.FixtureRequest, service: list[Replica]) -> object:
    if request.param == "direct":
        return service[0].url
    return request.getfixturevalue("nginx")


@pytest.fixture(scope="module")
def nginx(service: list[Replica]) -> object:
    with passing_upgrades_on(service[0].port) as url:
        yield url


async def test_the_http_client_of_the_jdk_is_served(api: Api, entrance: str) -> None:
    made = await api.create()
    out = await _run(program("java", "default-jdk-headless"), "-Xshare:auto", str(CLIENT), entrance, BODY, made.code)
    created, joined = (json.loads(line.partition(" ")[2]) for line in out.splitlines())
    assert (created["meta"]["title"], created["meta"]["capacity"]) == ("Friday", 7)
    assert joined["sessionID"] == made.code


async def test_curl_is_served(entrance: str) -> None:
    out = await _run(program("curl"), "-sS", "--http2", "-d", BODY, f"{entrance}/api/session/create")
    created = json.loads(out)
    assert (created["meta"]["title"], created["meta"]["capacity"]) == ("Friday", 7)


@pytest.mark.parametrize(
    "fields", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 999\r\n"]
)
@pytest.mark.parametrize("body", ["", "hello", "5\r\nhello\r\n0\r\n\r\n"], ids=["no body", "body", "chunks"])
async def test_a_websocket_with_a_body_is_refused_and_closed(service: list[Replica], fields: str, body: str) -> None:
    async with wire(service[0].port) as connection:
        assert refusal(await connection.ask(SOCKET, UPGRADE, fields, "\r\n\r\n", body)) == (400, "invalid-payload")
        assert await connection.closed()


async def test_a_websocket_with_a_body_does_not_hold_up_the_end() -> None:
    async with RedisServer() as redis, replicas(redis.url(), drain_timeout=0) as (replica,):
        async with wire(replica.port) as one, wire(replica.port) as other:
            await one.write(SOCKET, UPGRADE, "Content-Length: 5\r\n\r\n")
            await other.write(SOCKET, UPGRADE, "Transfer-Encoding: chunked\r\n\r\n")
            await asyncio.sleep(0.1)
            assert await asyncio.to_thread(replica.stop) == 0
        assert not [line for line in replica.logs() if "text" in line or "error" in line.get("level", "")]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /openapi.json", 200),
        ("GET /api/session/{code}", 200),
        ("GET /api/session/2222222222", 404),
        ("GET /api/session/create", 405),
        ("DELETE /api/session/2222222222", 404),
        ("GET /nothing", 404),
    ],
)
@pytest.mark.parametrize(
    "upgrade", [UPGRADE, UPGRADE.replace("13", "8"), "Connection: Upgrade\r\nUpgrade: websocket\r\n"]
)
async def test_where_no_websocket_is_an_offer_to_become_one_changes_nothing(
    api: Api, service: list[Replica], request_line: str, status: int, upgrade: str
) -> None:
    request = request_line.format(code=(await api.create()).code)
    async with wire(service[0].port) as connection:
        plain = await connection.ask(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n")
        offered = await connection.ask(f"{request} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n")
    assert (plain[0], offered[0]) == (status, status)
    assert NOW.sub(b"", offered[2]) == NOW.sub(b"", plain[2])


@pytest.mark.parametrize(
    ("fields", "status", "version"),
    [
        (UPGRADE.replace(KEY, ""), 400, None),
        (UPGRADE + KEY, 400, None),
        (UPGRADE.replace("AAAAAAAAAAAAAAAAAAAAAA==", "nonsense"), 400, None),
        (UPGRADE.replace("13", "12"), 426, "13"),
        (UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", ""), 426, "13"),
        (UPGRADE.replace("13", "x"), 426, "13"),
    ],
    ids=["no key", "two keys", "bad key", "old version", "no version", "bad version"],
)
async def test_a_handshake_that_is_wrong_is_refused_as_json(
    service: list[Replica], fields: str, status: int, version: str | None
) -> None:
    async with wire(service[0].port) as connection:
        answer = await connection.ask(SOCKET, fields, "\r\n")
        assert refusal(answer) == (status, "invalid-payload")
        assert answer[1].get("sec-websocket-version") == version
        assert answer[1].get("upgrade") == ("websocket" if status == 426 else None)
        assert await connection.closed()


@pytest.mark.parametrize(
    "head",
    [
        SOCKET.replace("websocket HTTP", "websocket&x=\xff HTTP") + UPGRADE,
        SOCKET + UPGRADE + "Sec-WebSocket-Protocol: ,;\r\n",
        SOCKET + UPGRADE + "Sec-WebSocket-Extensions: ,;\r\n",
        SOCKET + UPGRADE + "X: \xff\r\n",
        SOCKET + UPGRADE.replace("Connection: Upgrade", "Connection: ;, Upgrade"),
        SOCKET.replace("/socket.io/", "http://x/socket.io/") + UPGRADE,
        SOCKET + UPGRADE + "Cookie: " + "x" * 12_000 + "\r\n",
        SOCKET + UPGRADE + "Content-Length: 0\r\n",
        SOCKET.replace("HTTP/1.1", "HTTP/1.0") + UPGRADE,
        SOCKET.replace("GET", "POST") + UPGRADE + "Content-Length: 0\r\n",
        SOCKET + UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c, websocket"),
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=str,
)
async def test_whatever_asks_for_another_protocol_is_answered(service: list[Replica], head: str) -> None:
    async with wire(service[0].port) as connection:
        status, headers, body = await connection.ask(head.encode("latin-1"), "\r\n")
    assert status == 101 or 400 <= status < 500
    assert status == 101 or (headers["content-type"] == "application/json" and "message" in json.loads(body))


async def test_a_websocket_is_not_begun_while_a_request_is_under_way(service: list[Replica]) -> None:
    async with wire(service[0].port) as connection:
        # In one piece: what comes later may find the first request answered.
        await connection.write(f"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n{SOCKET}{UPGRADE}\r\n")
        assert (await connection.answer())[0] == 200
        assert refusal(await connection.answer()) == (400, "invalid-payload")
        assert await connection.closed()


async def test_a_websocket_outlives_the_time_that_a_request_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.protocol._HEAD_TIMEOUT_SECONDS", 0.2)
    async with RedisServer() as redis, served_here(redis.url()) as (replica,):
        socket = await Socket.open(replica.url)
        with pytest.raises(TimeoutError):
            await socket.closed(timeout=0.5)
        assert (await socket.emit("vote", {"movieID": "a", "rating": 5}))["code"] == "not-joined"
        await socket.close()


async def test_nothing_of_all_this_leaves_a_traceback(service: list[Replica]) -> None:
    lines = service[0].logs()
    assert not [line for line in lines if "text" in line]
    assert not [line for line in lines if line.get("level") in ("error", "critical")]


async def _run(*command: str) -> str:
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=errors)
        out, _ = await process.communicate()
        errors.seek(0)
        assert process.returncode == 0, errors.read()
    return out.decode()
