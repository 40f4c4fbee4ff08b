"""What is refused and what fails leaves nothing behind."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from app.origins import AllowedOrigins
from app.socketio_server import Connection, ConnectionLimits, EngineServer, Options, Origins, RequestHooks, message
from app.socketio_server.refusals import Refusal
from tests.harness.waiting import until

from .harness import Client, closed, receive, recorder, serve, soon


def bare_engine() -> EngineServer:
    return EngineServer(
        Options(),
        origins=Origins(AllowedOrigins("*")),
        limits=ConnectionLimits(),
        hooks=RequestHooks(),
    )


def test_refusing_again_and_again_in_a_drain_keeps_nothing_of_earlier_refusals() -> None:
    limits = ConnectionLimits()
    limits.stop(503, [(b"retry-after", b"1")])
    depths = []
    for _ in range(100):
        with pytest.raises(Refusal) as refused:
            limits.enter("192.0.2.1")
        assert (refused.value.status, refused.value.headers) == (503, [(b"retry-after", b"1")])
        depths.append(len(list(traceback.walk_tb(refused.value.__traceback__))))
    assert set(depths) == {depths[0]}


async def test_what_a_connect_handler_sends_comes_behind_the_open_packet() -> None:
    engine = bare_engine()

    def connect(session: Connection) -> None:
        session.send(message("welcome"))

    engine.on("connect", connect)
    async with serve(engine.handle_request) as address, Client(address, engine=engine) as client:
        async with client.websocket() as websocket:
            assert str(await soon(websocket.recv())).startswith("0{")
            assert await soon(websocket.recv()) == "4welcome"
        sid = await client.handshake()
        assert (await client.poll(sid)).text == "4welcome"
        await engine.shutdown()


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "asgi"])
async def test_a_connection_whose_engine_handler_fails_is_not_kept(direct: bool) -> None:
    engine = bare_engine()

    def connect(_session: Connection) -> None:
        raise LookupError("a bug")

    engine.on("connect", connect)
    take_over = engine.take_over if direct else None
    async with (
        serve(engine.handle_request, take_over=take_over) as address,
        Client(address, engine=engine) as client,
    ):
        assert (await client.request("GET", "EIO=4&transport=polling")).status_code == 500
        async with client.websocket() as websocket:
            await soon(closed(websocket))
        await until(lambda: not engine.sockets)
        assert engine.limits.open == 0


@pytest.mark.parametrize("answer", [LookupError("a bug"), {"pid": object()}], ids=["raises", "answers nonsense"])
async def test_a_socket_whose_connect_handler_fails_leaves_nothing_behind(answer: Any) -> None:
    async with recorder() as record:
        server, client = record.server, record.client

        async def connect(sid: str, _environ: Any, _auth: Any) -> Any:
            await server.enter_room(sid, "room")
            if isinstance(answer, Exception):
                raise answer
            return answer

        server.on("connect", connect)
        async with client.opened() as websocket:
            for _ in range(3):
                await websocket.send("40")
                assert await soon(receive(websocket)) == '44{"message":"Connection refused"}'
            assert list(server.manager.members("room")) == []
            assert not server._sockets
            assert not server.manager._connecting | server.manager._leaving
            assert record.count("disconnect") == (0 if isinstance(answer, Exception) else 3)
            # It may try again as long as its time to connect lasts, and no longer.
            [session] = server.connections()
            assert session in server._unconnected
        await until(lambda: server.open_count == 0)


async def test_a_connection_that_ends_while_its_connect_handler_runs_is_disconnected_once() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    async with recorder() as record:

        async def connect(_sid: str, _environ: Any, _auth: Any) -> None:
            started.set()
            await go_on.wait()

        record.server.on("connect", connect)
        async with record.client.opened() as websocket:
            await websocket.send("40")
            await soon(started.wait())
        await until(lambda: record.server.open_count == 0)
        go_on.set()
        await until(lambda: record.count("disconnect") == 1)
        await until(lambda: not record.server._sockets)
        assert not record.server.manager.rooms
