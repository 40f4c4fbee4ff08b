"""The behaviours that the official Socket.IO test suite asks of a server, S1 to S32 in its order.

https://github.com/socketio/socket.io/tree/main/docs/socket.io-protocol/v5-test-suite

Its raw client answers no pings and so may take a ping time-out for the answer; here every close must come at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import websockets

from tests.harness.waiting import until

from .harness import (
    PING_TIMEOUT,
    Client,
    closed,
    closed_at_once,
    echo_server,
    receive,
    serving,
    soon,
)
from .test_engine_io import assert_open_packet


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    server = echo_server()
    async with serving(server, direct=request.param) as address, Client(address, engine=server.eio) as client:
        yield client


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


async def test_polling_is_kept_alive_by_ping_and_pong(client: Client) -> None:
    sid = await client.handshake()
    # Not more often: a client that sends no CONNECT is closed after a second.
    for _ in range(2):
        assert (await client.poll(sid)).text == "2"
        assert (await client.post(sid, "3")).status_code == 200


async def test_a_ping_timeout_closes_a_polling_session(client: Client) -> None:
    sid = await client.handshake()
    await client.pinged(sid)
    await asyncio.sleep(PING_TIMEOUT)
    assert (await client.poll(sid)).status_code == 400


async def test_a_websocket_is_kept_alive_by_ping_and_pong(client: Client) -> None:
    async with client.connected() as websocket:
        for _ in range(3):
            assert await websocket.recv() == "2"
            await websocket.send("3")


async def test_a_ping_timeout_closes_a_websocket_session(client: Client) -> None:
    async with client.connected() as websocket:
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
        await closed_at_once(websocket)


async def test_a_session_is_upgraded_from_polling_to_websocket(client: Client) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await client.upgrade(sid, websocket)
        await websocket.send("40")
        assert str(await receive(websocket)).startswith("40{")


@pytest.mark.parametrize("attempt", range(10))
async def test_a_poll_that_overtakes_the_upgrade_packet_is_refused(client: Client, attempt: int) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await websocket.send("2probe")
        await websocket.send("5")
        assert (await client.poll(sid)).status_code == 400


async def test_a_second_websocket_is_closed_during_and_after_the_upgrade(client: Client) -> None:
    sid = await client.handshake()
    async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
        await websocket.send("2probe")
        await websocket.send("5")
        async with client.websocket(f"EIO=4&transport=websocket&sid={sid}") as second:
            await closed_at_once(second)


@pytest.mark.parametrize("namespace", ["/", "/custom"])
@pytest.mark.parametrize("auth", [None, {"token": "123"}])
async def test_a_client_connects_to_a_namespace(client: Client, namespace: str, auth: dict[str, str] | None) -> None:
    prefix = "" if namespace == "/" else namespace + ","
    async with client.opened() as websocket:
        await websocket.send("40" + prefix + (json.dumps(auth) if auth else ""))
        answer = str(await receive(websocket))
        assert answer.startswith("40" + prefix)
        handshake = json.loads(answer.removeprefix("40" + prefix))
        assert list(handshake) == ["sid"]
        assert isinstance(handshake["sid"], str)
        auth_event = "42" + prefix + json.dumps(["auth", auth or {}], separators=(",", ":"))
        assert await receive(websocket) == auth_event


async def test_an_unknown_namespace_is_refused(client: Client) -> None:
    async with client.opened() as websocket:
        await websocket.send("40/random")
        assert await receive(websocket) == '44/random,{"message":"Invalid namespace"}'


async def test_an_invalid_handshake_closes_the_connection(client: Client) -> None:
    async with client.opened() as websocket:
        await websocket.send("4abc")
        await closed_at_once(websocket)


async def test_a_connection_without_a_handshake_is_closed(client: Client) -> None:
    async with client.opened() as websocket:
        async with asyncio.timeout(1.5):
            try:
                while True:
                    assert await websocket.recv() == "2"
                    await websocket.send("3")
            except websockets.ConnectionClosed:
                pass


async def test_a_client_disconnects_from_the_main_namespace(client: Client) -> None:
    async with client.connected() as websocket:
        await websocket.send("41")
        assert await websocket.recv() == "2"


async def test_a_client_disconnects_from_a_custom_namespace_only(client: Client) -> None:
    async with client.connected() as websocket:
        await websocket.send("40/custom")
        assert str(await receive(websocket)).startswith("40/custom,{")
        assert await receive(websocket) == '42/custom,["auth",{}]'
        await websocket.send("41/custom")
        await websocket.send('42["message","message to main namespace"]')
        assert await receive(websocket) == '42["message-back","message to main namespace"]'


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param(
            ['42["message",1,"2",{"3":[true]}]'],
            ['42["message-back",1,"2",{"3":[true]}]'],
            id="text",
        ),
        pytest.param(
            [
                '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            [
                '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            id="binary",
        ),
        pytest.param(
            ['42456["message-with-ack",1,"2",{"3":[false]}]'],
            ['43456[1,"2",{"3":[false]}]'],
            id="text-with-ack",
        ),
        pytest.param(
            [
                '452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            [
                '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            id="binary-with-ack",
        ),
    ],
)
async def test_a_message_is_taken_and_answered(
    client: Client, sent: list[str | bytes], answered: list[str | bytes]
) -> None:
    async with client.connected() as websocket:
        for packet in sent:
            await websocket.send(packet)
        assert [await receive(websocket) for _ in answered] == answered


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("4abc", id="unknown-packet-type"),
        pytest.param("42{}", id="invalid-payload"),
        pytest.param('42abc["message-with-ack",1,"2",{"3":[false]}]', id="invalid-ack-id"),
    ],
)
async def test_an_invalid_packet_closes_the_connection(client: Client, packet: str) -> None:
    async with client.connected() as websocket:
        await websocket.send(packet)
        await closed_at_once(websocket)
