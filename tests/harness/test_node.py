"""The Node clients against a stock server: properties that the other tests rely on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import socketio
import uvicorn

from tests.harness.node import JS, ClientError, compile_typescript, node_clients, run_js

SESSION = {"createdAt": "2026-01-22T12:00:00.000Z", "movies": [], "participants": []}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A server that answers `join-session` as the service does, and `POST /api/session/join` for session 123456."""
    # It sets the levels of loggers that it is not given.
    sio = socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins="*",
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
    )

    async def join(sid: str, session_id: str) -> dict[str, bool]:
        await sio.emit("joined-session", {"sessionID": session_id}, to=sid)
        await sio.emit("session-update", SESSION, to=sid)
        return {"ok": True}

    async def silent(sid: str) -> None:
        await asyncio.Event().wait()

    sio.on("join-session", join)
    sio.on("silent", silent)

    async def http(scope: dict[str, str], receive, send) -> None:  # type: ignore[no-untyped-def]
        asked = json.loads((await receive())["body"])["sessionID"]
        found = asked == "123456"
        body = (
            {"sessionID": asked, "sessionData": SESSION} if found else {"message": "Session not found or has expired"}
        )
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(
        uvicorn.Config(socketio.ASGIApp(sio, http), log_config=None, lifespan="off", timeout_graceful_shutdown=0)
    )
    task = asyncio.create_task(running.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    await sio.shutdown()
    running.should_exit = True
    await task


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_client_gets_acks_and_events(server: str, transport: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=[transport])
        assert (client.connected, client.transport) == (True, transport)
        assert await client.emit("join-session", "123456", ack=True) == {"ok": True}
        joined = await client.next("joined-session")
        update = await client.next("session-update")
        assert (joined.data, update.data) == ({"sessionID": "123456"}, SESSION)
        assert joined.at <= update.at


async def test_next_returns_each_event_once(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=["websocket"])
        await client.emit("join-session", "1", ack=True)
        await client.emit("join-session", "2", ack=True)
        assert [(await client.next("joined-session")).data["sessionID"] for _ in range(2)] == ["1", "2"]
        with pytest.raises(TimeoutError, match="no joined-session"):
            await client.next("joined-session", timeout=0.01)


async def test_an_ack_that_does_not_come_is_an_error(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=["websocket"])
        with pytest.raises(ClientError, match="timed out"):
            await client.emit("silent", ack=True, timeout=0.05)


async def test_a_dropped_client_comes_back_by_itself(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=["websocket"], reconnectionDelay=10)
        first = client.id
        await client.drop()
        assert (await client.next("disconnect")).data == "transport close"
        await client.next("connect")
        assert client.id not in (None, first)


async def test_frames_and_upgrades_are_seen_where_asked_for(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, frames=True)
        assert (await client.next(":upgrade")).data == "websocket"
        await client.emit("join-session", "1")
        sent = await client.until(
            lambda event: event.name == ":frame" and event.args[0] == "out" and "join" in event.args[2]
        )
        assert sent.args == ["out", "message", '2["join-session","1"]']


async def test_states_are_told_as_digests_where_asked_for(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=["websocket"], digest=True)
        await client.emit("join-session", "1", ack=True)
        update = await client.next("session-update")
        text = json.dumps(SESSION, separators=(",", ":"))
        assert update.data == {"hash": hashlib.sha256(text.encode()).hexdigest(), "words": [], "people": []}


async def test_the_seed_flow_runs_beside_other_clients(server: str) -> None:
    compile_typescript()
    async with node_clients(documented=False) as node:
        client = await node.run_flow(server, "123456")
        assert (await client.next("joined-session")).data == {"sessionID": "123456"}
        assert (await client.next("session-update")).data == SESSION
        with pytest.raises(ClientError, match="Session not found or has expired"):
            await node.run_flow(server, "000000")


async def test_one_process_hosts_hundreds_of_clients(server: str) -> None:
    async with node_clients(documented=False) as node:
        clients = await asyncio.gather(*(node.connect(server, transports=["websocket"]) for _ in range(200)))
        assert len({client.id for client in clients}) == 200


async def test_a_process_that_ended_answers_with_an_error(server: str) -> None:
    async with node_clients(documented=False) as node:
        client = await node.connect(server, transports=["websocket"])
        node._process.kill()
        with pytest.raises(ClientError, match="has ended"):
            await client.emit("silent", ack=True)


@pytest.mark.parametrize("transport", ["polling", "websocket", "default"])
async def test_the_seed_flow_resolves_for_a_session(server: str, transport: str) -> None:
    done = await run_js(flow(), server, "123456", transport)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["resolved"] == SESSION
    assert result["transport"] == transport or transport == "default"
    assert result["events"] == [["joined-session", {"sessionID": "123456"}], ["session-update", SESSION]]


async def test_the_seed_flow_rejects_with_the_text_of_the_answer(server: str) -> None:
    done = await run_js(flow(), server, "000000")
    assert json.loads(done.stdout) == {"rejected": "Session not found or has expired"}


async def test_a_script_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "forever.mjs"
    script.write_text("setInterval(() => {}, 1000)")
    with pytest.raises(TimeoutError):
        await run_js(script, timeout=0.2)


def flow() -> Path:
    compile_typescript()
    return JS / "seed-run.mjs"
