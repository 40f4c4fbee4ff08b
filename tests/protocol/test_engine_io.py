"""The behaviours that the official Engine.IO test suite asks of a server, E1 to E25 in its order.

https://github.com/socketio/socket.io/tree/main/docs/engine.io-protocol/v4-test-suite
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import websockets

from app.socketio_server import probe
from tests.harness.waiting import until

from .harness import (
    MAX_PAYLOAD,
    PING_INTERVAL,
    PING_TIMEOUT,
    SEPARATOR,
    Client,
    closed,
    engine_echo,
    receive,
    soon,
)


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with engine_echo(direct=request.param) as client:
        yield client


def assert_open_packet(packet: str | bytes, upgrades: list[str]) -> None:
    assert isinstance(packet, str)
    assert packet[0] == "0"
    handshake = json.loads(packet[1:])
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {
        "upgrades": upgrades,
        "pingInterval": round(PING_INTERVAL * 1000),
        "pingTimeout": round(PING_TIMEOUT * 1000),
        "maxPayload": MAX_PAYLOAD,
    }


async def test_a_polling_handshake_opens_a_session(client: Client) -> None:
    response = await client.request("GET", "EIO=4&transport=polling")
    assert response.status_code == 200
    assert_open_packet(response.text, ["websocket"])


@pytest.mark.parametrize("version", ["", "EIO=abc&"])
async def test_a_polling_handshake_with_an_invalid_version_fails(client: Client, version: str) -> None:
    assert (await client.request("GET", f"{version}transport=polling")).status_code == 400


@pytest.mark.parametrize("transport", ["", "&transport=abc"])
async def test_a_polling_handshake_with_an_invalid_transport_fails(client: Client, transport: str) -> None:
    assert (await client.request("GET", f"EIO=4{transport}")).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_polling_handshake_with_an_invalid_method_fails(client: Client, method: str) -> None:
    assert (await client.request(method, "EIO=4&transport=polling")).status_code == 400


async def test_a_websocket_handshake_opens_a_session(client: Client) -> None:
    async with client.websocket() as websocket:
        assert_open_packet(await websocket.recv(), [])


@pytest.mark.parametrize("query", ["transport=websocket", "EIO=abc&transport=websocket"])
async def test_a_websocket_handshake_with_an_invalid_version_fails(client: Client, query: str) -> None:
    with pytest.raises(websockets.InvalidStatus, match="400"):
        await client.websocket(query)


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc"])
async def test_a_websocket_handshake_with_an_invalid_transport_fails(client: Client, query: str) -> None:
    with pytest.raises(websockets.InvalidStatus, match="400"):
        await client.websocket(query)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("4hello", id="one-text"),
        pytest.param(SEPARATOR.join(["4test1", "4test2", "4test3"]), id="several-texts"),
        pytest.param(SEPARATOR.join(["4hello", "bAQIDBA=="]), id="text-and-binary"),
    ],
)
async def test_a_polling_payload_is_taken_and_one_is_answered(client: Client, payload: str) -> None:
    sid = await client.handshake()
    response = await client.post(sid, payload)
    assert (response.status_code, response.text) == (200, "ok")
    answer = await client.poll(sid)
    assert (answer.status_code, answer.text) == (200, payload)


async def test_an_invalid_polling_payload_closes_the_session(client: Client) -> None:
    sid = await client.handshake()
    assert (await client.post(sid, "abc")).status_code == 400
    assert (await client.poll(sid)).status_code == 400


async def test_a_second_poll_closes_the_session(client: Client) -> None:
    sid = await client.handshake()
    first = asyncio.create_task(client.poll(sid))
    await until(lambda: client.engine.sockets[sid].polling)
    second = await client.poll(sid)
    assert ((await first).status_code, first.result().text) == (200, "1")
    assert second.status_code == 400
    assert (await client.poll(sid)).status_code == 400


async def test_a_cancelled_poll_closes_the_session(client: Client) -> None:
    sid = await client.handshake()
    poll = asyncio.create_task(client.poll(sid))
    await until(lambda: client.engine.sockets[sid].polling)
    poll.cancel()
    await until(lambda: sid not in client.engine.sockets)
    assert (await client.poll(sid)).status_code == 400


@pytest.mark.parametrize("data", ["4hello", b"\x01\x02\x03\x04"])
async def test_a_websocket_message_is_taken_and_one_is_sent(client: Client, data: str | bytes) -> None:
    async with client.opened() as websocket:
        await websocket.send(data)
        assert await receive(websocket) == data


async def test_an_invalid_websocket_packet_closes_the_session(client: Client) -> None:
    async with client.opened() as websocket:
        await websocket.send("abc")
        assert await soon(closed(websocket)) == []


async def test_polling_is_kept_alive_by_ping_and_pong(client: Client) -> None:
    sid = await client.handshake()
    for _ in range(3):
        assert (await client.poll(sid)).text == "2"
        assert (await client.post(sid, "3")).status_code == 200


async def test_a_ping_timeout_closes_a_polling_session(client: Client) -> None:
    sid = await client.handshake()
    await client.pinged(sid)
    await asyncio.sleep(PING_TIMEOUT)
    assert (await client.poll(sid)).status_code == 400


async def test_a_websocket_is_kept_alive_by_ping_and_pong(client: Client) -> None:
    async with client.opened() as websocket:
        for _ in range(3):
            assert await websocket.recv() == "2"
            await websocket.send("3")


async def test_a_ping_timeout_closes_a_websocket_session(client: Client) -> None:
    async with client.opened() as websocket:
        assert await soon(closed(websocket)) == ["2"]


async def test_a_client_can_close_a_polling_session(client: Client) -> None:
    sid = await client.handshake()
    poll = asyncio.create_task(client.poll(sid))
    await until(lambda: client.engine.sockets[sid].polling)
    assert (await client.post(sid, "1")).status_code == 200
    assert ((await poll).status_code, poll.result().text) == (200, "6")
    assert (await client.poll(sid)).status_code == 400


async def test_a_client_can_close_a_websocket_session(client: Client) -> None:
    async with client.opened() as websocket:
        await websocket.send("1")
        assert await soon(closed(websocket)) == []


async def test_a_session_is_upgraded_from_polling_to_websocket(client: Client) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        poll = await client.poll(sid)
        assert (poll.status_code, poll.text) == (200, "6")
        await websocket.send("5")
        await websocket.send("4hello")
        assert await receive(websocket) == "4hello"


async def test_requests_wait_for_an_upgrade_only_once_its_probe_is_answered(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stock clients upgrade when the requests that they have sent meanwhile are answered."""
    monkeypatch.setattr(probe, "_UPGRADE_WAIT_SECONDS", 60)
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        assert (await soon(client.post(sid, "4hello"))).status_code == 200
        assert (await soon(client.poll(sid))).text == "4hello"
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        assert (await soon(client.post(sid, "4again"))).status_code == 200
        await websocket.send("5")
        assert await receive(websocket) == "4again"


async def test_http_requests_are_refused_after_the_upgrade(client: Client) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await client.upgrade(sid, websocket)
        assert (await client.poll(sid)).status_code == 400
        await websocket.send("4hello")
        assert await receive(websocket) == "4hello"


async def test_a_second_websocket_is_closed_after_the_upgrade(client: Client) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await client.upgrade(sid, websocket)
        async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as second:
            assert await soon(closed(second)) == []
        await websocket.send("4hello")
        assert await receive(websocket) == "4hello"
