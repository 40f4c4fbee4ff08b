"""TCP connections: how many there may be, and how long an answer waits for whoever does not read it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from app.http.port import PortLimits
from app.http.protocol import HttpProtocol
from app.replica.listener import Listener
from app.socketio_server import WebSocketProtocol
from tests.harness.here import Here, served_here
from tests.harness.ports import LOOPBACK
from tests.harness.redis import RedisServer
from tests.harness.unread import Unread, large
from tests.harness.waiting import until
from tests.harness.wire import UPGRADE, Answer, Wire, refusal, wire

SOCKET = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
POLL = "GET /socket.io/?EIO=4&transport=polling"
FULL = (503, "unavailable")
TOO_MANY = (429, "too-many-requests")


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Here]:
    async with RedisServer() as redis, served_here(redis.url(), **settings) as (replica,):
        yield replica


async def ask(port: int, path: str = "/openapi.json", source: str = LOOPBACK) -> Answer:
    async with wire(port, source=source) as connection:
        return await connection.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")


async def opened(stack: AsyncExitStack, port: int, count: int) -> list[Wire]:
    """Connections that the server has taken: each has had an answer."""
    connections = [await stack.enter_async_context(wire(port)) for _ in range(count)]
    for connection in connections:
        assert (await connection.ask("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 404
    return connections


async def test_a_port_takes_so_many_connections_and_the_internal_one_answers_probes_beyond() -> None:
    async with serving(max_tcp_connections=10) as replica, AsyncExitStack() as stack:
        public = await opened(stack, replica.port, 10)
        async with wire(replica.port) as connection:
            answer = await connection.answer()
            assert refusal(answer) == FULL
            assert answer[1]["retry-after"]
            assert await connection.closed()
        await opened(stack, replica.internal_port, 10)
        assert refusal(await ask(replica.internal_port, "/nothing")) == FULL
        for path in ("/healthz", "/readyz", "/metrics"):
            async with wire(replica.internal_port) as connection:
                assert (await connection.ask(f"GET {path}?x HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
                assert await connection.closed()
        # A place that is left is free at once.
        assert (await public[0].ask("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))[0] == 404
        assert await public[0].closed()
        assert (await ask(replica.port))[0] == 200


async def test_an_address_has_so_many_connections() -> None:
    async with serving(max_tcp_connections_per_address=3, unlimited_addresses="127.0.0.9/32") as replica:
        for port, path in ((replica.port, "/openapi.json"), (replica.internal_port, "/healthz")):
            async with AsyncExitStack() as stack:
                await opened(stack, port, 3)
                assert refusal(await ask(port, path)) == FULL
                assert (await ask(port, path, source="127.0.0.2"))[0] == 200
                free = [await stack.enter_async_context(wire(port, source="127.0.0.9")) for _ in range(4)]
                for connection in free:
                    assert (await connection.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
            async with asyncio.timeout(5):
                while (await ask(port, path))[0] == 503:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


async def test_a_websocket_keeps_the_place_of_its_connection() -> None:
    async with serving(max_tcp_connections_per_address=1, unlimited_addresses="") as replica:
        for _ in range(2):
            async with wire(replica.port) as websocket:
                head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
                assert (await websocket.ask(head, UPGRADE, "\r\n"))[0] == 101
                assert refusal(await ask(replica.port)) == FULL
                # A close frame, masked, without a code.
                await websocket.write(b"\x88\x80\x00\x00\x00\x00")
                assert await websocket.closed()


async def test_behind_a_proxy_the_requests_of_an_address_are_counted_instead() -> None:
    limits = {"max_tcp_connections_per_address": 2, "unlimited_addresses": "", "trusted_proxies": "127.0.0.0/8"}
    async with serving(**limits) as replica, AsyncExitStack() as stack:

        async def request(target: str, forwarded: str) -> Wire:
            connection = await stack.enter_async_context(wire(replica.port))
            await connection.write(f"{target} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {forwarded}\r\n\r\n")
            return connection

        polls = []
        for address in ("2001:db8:1:2::1", "[2001:db8:1:2::2]:443"):
            opened = await (await request(POLL, address)).answer()
            sid = opened[2].decode().partition('"sid":"')[2].partition('"')[0]
            polls.append(await request(f"{POLL}&sid={sid}", address))
        refused = await (await request("GET /api/session/2222222222", "2001:db8:1:2::3")).answer()
        assert refusal(refused) == TOO_MANY
        assert refused[1]["retry-after"]
        refused = await (await request("POST /api/session/join", "2001:db8:1:2::3")).answer()
        assert (refused[0], refused[2]) == (429, b'{"message":"Too many requests"}')
        assert (await (await request("GET /openapi.json", "2001:db8:1:3::3")).answer())[0] == 200


async def test_the_sockets_of_an_ipv6_network_share_their_cap() -> None:
    limits = {"max_connections_per_address": 2, "unlimited_addresses": "", "trusted_proxies": "127.0.0.0/8"}
    async with serving(**limits) as replica, wire(replica.port) as connection:

        async def opened(address: str) -> int:
            return (await connection.ask(f"{POLL} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n"))[0]

        addresses = ("2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1")
        assert [await opened(address) for address in addresses] == [200, 200, 429, 200]


async def test_an_answer_that_nobody_reads_ends_its_connection() -> None:
    async with serving(write_timeout=0.3) as replica:
        path = await large(replica)
        with Unread(replica.port, path) as unread:
            assert await unread.aborted()


async def unread_answers(replica: Here, connection: socket.socket, enough: Callable[[HttpProtocol], bool]) -> None:
    """Ask one thing after another on a connection that does not read, until enough answers wait for its client."""
    loop, state = asyncio.get_running_loop(), replica.replica.public.server_state
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await loop.sock_connect(connection, (LOOPBACK, replica.port))
    (protocol,) = await until(lambda: list(state.connections))
    join = b"POST /api/session/join HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

    async def ask(count: int) -> None:
        await loop.sock_sendall(connection, join)
        await until(lambda: state.total_requests == count or enough(protocol), poll=0)

    while not enough(protocol):
        await ask(state.total_requests + 1)


async def test_who_has_not_read_an_answer_gets_no_websocket() -> None:
    async with serving(write_timeout=1) as replica, AsyncExitStack() as stack:
        connection = stack.enter_context(socket.socket())
        await unread_answers(replica, connection, lambda protocol: protocol.flow.write_paused)
        await asyncio.get_running_loop().sock_sendall(connection, f"{SOCKET}{UPGRADE}\r\n".encode())
        # Much less than until the heartbeat of a WebSocket fails.
        await until(lambda: not replica.replica.public.server_state.connections, timeout=20)


async def test_a_client_that_ends_its_side_must_read_its_answers_all_the_same() -> None:
    async with serving(write_timeout=1) as replica, AsyncExitStack() as stack:
        connection = stack.enter_context(socket.socket())
        await unread_answers(replica, connection, lambda protocol: bool(protocol.transport.get_write_buffer_size()))
        await asyncio.get_running_loop().sock_sendall(connection, b"GET / HTTP/1.1\r\n")
        connection.shutdown(socket.SHUT_WR)
        await until(lambda: not replica.replica.public.server_state.connections)


async def test_nothing_is_kept_for_a_client_that_has_not_read_when_its_websocket_ended() -> None:
    settings = {"ping_interval": 1, "ping_timeout": 1, "write_timeout": 1, "direct_websockets": True}
    async with serving(**settings) as replica, AsyncExitStack() as stack:
        connection = stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop, state = asyncio.get_running_loop(), replica.replica.public.server_state
        await loop.sock_connect(connection, (LOOPBACK, replica.port))
        await loop.sock_sendall(connection, f"{SOCKET}{UPGRADE}\r\n".encode())
        ends = f":{replica.port:04X} ", f":{connection.getsockname()[1]:04X} "

        def kept() -> bool:
            """Whether the kernel knows the connection of the server."""
            rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines())
            return any(f"{row[1]} ".endswith(ends[0]) and f"{row[2]} ".endswith(ends[1]) for row in rows)

        # The answers to pings fill the buffers of the kernel.
        ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
        (websocket,) = await until(lambda: [each for each in state.connections if isinstance(each, WebSocketProtocol)])
        while not websocket.transport.get_write_buffer_size():
            await loop.sock_sendall(connection, ping * 10)
            await asyncio.sleep(0)
        assert kept()
        await until(lambda: not state.connections)
        await until(lambda: not kept(), timeout=20)


async def test_answers_that_nobody_reads_are_bounded_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    size = 200_000
    async with (
        serving(write_timeout=30, max_unread_bytes=4 * size, redis_timeout=10) as replica,
        AsyncExitStack() as stack,
    ):
        path = await large(replica)
        unread = [stack.enter_context(Unread(replica.port, path)) for _ in range(20)]
        assert await unread[0].aborted()
        assert sum([await one.aborted(0.1) for one in unread]) >= 12
        assert not await unread[-1].aborted(0.1)
    # Nor does the end wait for them, or come with a traceback.
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


async def test_an_address_has_a_quarter_of_them() -> None:
    size = 200_000
    async with (
        serving(write_timeout=30, max_unread_bytes=8 * size, redis_timeout=10, unlimited_addresses="") as replica,
        AsyncExitStack() as stack,
    ):
        path = await large(replica)
        other = stack.enter_context(Unread(replica.port, path, source="127.0.0.2"))
        unread = [stack.enter_context(Unread(replica.port, path)) for _ in range(10)]
        assert await unread[0].aborted()
        assert sum([await one.aborted(0.1) for one in unread]) >= 6
        assert not await other.aborted(0.1)


async def test_requests_wait_for_their_turn_in_bounded_number() -> None:
    async with serving() as replica, wire(replica.port) as connection:
        await connection.write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        statuses: list[int] = []
        while not statuses or statuses[-1] == 404:
            statuses.append((await connection.answer())[0])
        assert 64 <= len(statuses) < 2000
        assert statuses[-1] == 429
        assert await connection.closed()


async def test_a_request_that_was_pipelined_is_none_of_the_one_before() -> None:
    limit: ContextVar[str] = ContextVar("limit", default="none")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = limit.get().encode()
        limit.set("of another request")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    limits = PortLimits(
        websocket_path="/ws",
        max_connections=9,
        max_connections_per_address=9,
        exempt=lambda _address: False,
        write_timeout=1,
        max_unread=1000,
    )
    listener = Listener(app, LOOPBACK, 0, limits=limits, max_message=1000, timeout=1, unread_timeout=1)
    await listener.start()
    async with wire(listener.port) as connection:
        await connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        assert [(await connection.answer())[2] for _ in range(2)] == [b"none", b"none"]
    await listener.stop()
