"""Peers that break the protocol: the connection ends at once, its disconnect is handled, one line is logged."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from tests.harness.waiting import until

from .harness import Recorder, closed_at_once, receive, recorder, soon

# Engine.IO packets sent by a client that is connected to the main namespace.
HOSTILE: dict[str, str | bytes] = {
    "empty packet": "",
    "unknown packet": "x",
    "open": "0{}",
    "ping": "2",
    "probe": "2probe",
    "stray upgrade": "5",
    "noop": "6",
    "engine type 7": "7",
    "engine type 9": "9hello",
    "close with data": "1x",
    "empty message": "4",
    "socket type 7": "47",
    "socket type 9": '49["hello"]',
    "letter for a type": "4x",
    "event without payload": "42",
    "event null": "42null",
    "event object": "42{}",
    "event text": '42"hello"',
    "event number": "42123",
    "empty event": "42[]",
    "number for an event name": "42[1]",
    "null for an event name": "42[null]",
    "list for an event name": '42[["hello"]]',
    "connect event": '42["connect",{},{"auth":1}]',
    "disconnect event": '42["disconnect","x"]',
    "disconnecting event": '42["disconnecting"]',
    "connect_error event": '42["connect_error"]',
    "newListener event": '42["newListener"]',
    "removeListener event": '42["removeListener"]',
    "truncated json": '42["hello",{"a":',
    "trailing json": '42["hello"]["hello"]',
    "NaN": '42["hello",NaN]',
    "Infinity": '42["hello",Infinity]',
    "minus Infinity": '42["hello",-Infinity]',
    "lone surrogate": '42["hello","\\ud800"]',
    "lone surrogate in a name": '42["\\udfff"]',
    "control character": '42["hello","\x01"]',
    "deep list": '42["hello",' + "[" * 8000,
    "deep closed list": '42["hello",' + "[" * 8000 + "]" * 8000 + "]",
    "deep object": '42["hello",' + '{"a":' * 2000 + "1" + "}" * 2000 + "]",
    "comma for a namespace": '42,["hello"]',
    "negative ack id": '42-1["hello"]',
    "fractional ack id": '421.5["hello"]',
    "endless ack id": "42" + "9" * 400 + '["hello"]',
    "ack id in other digits": '42٣["hello"]',
    "ack without id": "43[]",
    "ack with an object": "431{}",
    "ack without payload": "431",
    "connect error": '44{"message":"x"}',
    "binary event": '451-["hello",{"_placeholder":true,"num":0}]',
    "binary event of nothing": '450-["hello"]',
    "binary event of very much": '4599999999-["hello"]',
    "binary ack": '461-1[{"_placeholder":true,"num":0}]',
    "binary event without count": '45["hello"]',
    "event with a count": '421-["hello"]',
    "second connect": "40",
    "connect with a list": "40/custom,[]",
    "connect with null": "40/custom,null",
    "connect with an id": "401",
    "disconnect with data": "41{}",
    "disconnect from elsewhere": "41/custom,",
    "event for elsewhere": '42/custom,["hello"]',
    "ack for elsewhere": "43/custom,1[]",
    "too large": '42["hello","' + "x" * 16_384 + '"]',
    "too large in bytes": '42["hello","' + "é" * 8_192 + '"]',
}

BEFORE_CONNECT = {"event": '42["hello"]', "ack": "431[]", "disconnect": "41", "junk": "4abc", "empty message": "4"}


def assert_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert not [record for record in caplog.records if record.exc_info]
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert len(lines[0]) < 120
    assert "hello" not in lines[0]


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_packet_ends_a_websocket(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        async with record.client.joined() as websocket:
            await websocket.send(packet)
            await closed_at_once(websocket)
        await until(lambda: record.count("disconnect") == 1)
        assert record.calls == [("connect", None), ("disconnect", "transport error")]
        assert record.server.open_count == 0
    assert_one_line(caplog)


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_packet_ends_a_polling_session(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        async with asyncio.timeout(0.2):
            response = await record.client.post(sid, packet)
            # What only its turn shows to be wrong is answered before it.
            assert response.status_code in (200, 400, 413)
            await until(lambda: record.count("disconnect") == 1)
        assert (await record.client.poll(sid)).status_code == 400
        assert record.calls == [("connect", None), ("disconnect", "transport error")]
        assert record.server.open_count == 0
    assert_one_line(caplog)


@pytest.mark.parametrize("packet", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT.keys())
async def test_nothing_but_a_connect_may_come_first(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record, record.client.opened() as websocket:
        await websocket.send(packet)
        await closed_at_once(websocket)
        assert record.calls == []
    assert_one_line(caplog)


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello" * 100])
async def test_a_binary_message_ends_a_websocket(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record, record.client.joined() as websocket:
        await websocket.send(data)
        await closed_at_once(websocket)
        await until(lambda: record.count("disconnect") == 1)
    assert_one_line(caplog)


@pytest.mark.parametrize("body", [b"bAAAA", b"b!", b"b\xff", b"4\xff\xfe", b"\x1e", b'42["hello"]\x1e', b"\x1e1"])
async def test_a_hostile_payload_ends_a_polling_session(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        assert (await record.client.post(sid, body)).status_code == 400
        await until(lambda: record.count("disconnect") == 1)
        assert (await record.client.poll(sid)).status_code == 400
    assert_one_line(caplog)


async def test_text_that_is_not_utf8_ends_a_websocket_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record, record.client.joined() as websocket:
        await websocket.send(b"42\xff\xfe", text=True)
        await closed_at_once(websocket)
        assert websocket.close_code == 1007
        await until(lambda: record.count("disconnect") == 1)
    assert not [log for log in caplog.records if log.exc_info or log.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param(['451-["hello",{"_placeholder":true,"num":1}]', b"x"], id="placeholder-out-of-range"),
        pytest.param(['451-["hello",{"_placeholder":true,"num":-1}]', b"x"], id="negative-placeholder"),
        pytest.param(['451-["hello",{"_placeholder":true,"num":"0"}]', b"x"], id="text-for-a-number"),
        pytest.param(['451-["hello",{"_placeholder":true}]', b"x"], id="no-number"),
        pytest.param(['4511-["hello"]'], id="eleven-attachments"),
        pytest.param(['451-["hello",{"_placeholder":true,"num":0}]', '42["hello"]'], id="text-for-an-attachment"),
        pytest.param([b"x"], id="unexpected-attachment"),
        pytest.param(['451-["connect",{"_placeholder":true,"num":0}]', b"x"], id="reserved"),
        pytest.param(
            ['451-["hello",' + "[" * 1000 + '{"_placeholder":true,"num":0}' + "]" * 1000 + "]", b"x"], id="deep"
        ),
    ],
)
async def test_bad_attachments_end_the_connection_where_binary_is_allowed(
    packets: list[str | bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with recorder(binary=True) as record, record.client.joined() as websocket:
        for packet in packets:
            await websocket.send(packet)
        await closed_at_once(websocket)
        await until(lambda: record.count("disconnect") == 1)
        assert record.count("hello") == 0
    assert_one_line(caplog)


async def test_hostile_packets_by_the_thousand_log_a_line_and_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        for _ in range(200):
            async with record.client.joined() as websocket:
                await websocket.send("42{}")
                await closed_at_once(websocket)
        await until(lambda: record.count("disconnect") == 200)
        assert record.server.open_count == 0
        assert record.server.eio.sockets == {}
        assert record.server.manager.rooms == {}
    assert_one_line(caplog)


async def test_events_before_a_violation_take_effect_and_none_behind_it() -> None:
    async with recorder() as record, record.client.joined() as websocket:
        await websocket.send('42["hello",1]')
        await websocket.send("42{}")
        await websocket.send('42["hello",2]')
        await closed_at_once(websocket)
        await until(lambda: record.count("disconnect") == 1)
        assert record.calls[1:] == [("hello", 1), ("disconnect", "transport error")]


async def test_a_wrong_number_of_arguments_is_told_to_the_application_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[tuple[str, str]] = []

    def failed(sid: str, event: str, error: Exception) -> Any:
        failures.append((event, type(error).__name__))
        return {"ok": False}

    async with recorder(on_handler_error=failed) as record:

        async def pair(sid: str, first: Any, second: Any = None) -> Any:
            return [first, second]

        record.server.on("pair", pair)
        async with record.client.joined() as websocket:
            for packet, answer in {
                '421["pair"]': '431[{"ok":false}]',
                '422["pair",1]': "432[[1,null]]",
                '423["pair",1,2]': "433[[1,2]]",
                '424["pair",1,2,3]': '434[{"ok":false}]',
            }.items():
                await websocket.send(packet)
                assert await receive(websocket) == answer
    assert failures == [("pair", "WrongArguments")] * 2
    assert not caplog.records


async def test_an_unknown_acknowledgement_is_ignored() -> None:
    async with recorder() as record, record.client.joined() as websocket:
        for packet in ("430[1]", "431[1]", "439007199254740991[]"):
            await websocket.send(packet)
        await websocket.send('425["hello"]')
        assert await receive(websocket) == "435[]"


async def test_an_unknown_namespace_does_not_end_the_connection() -> None:
    async with recorder() as record, record.client.joined() as websocket:
        await websocket.send('40/admin,{"a":1}')
        assert await receive(websocket) == '44/admin,{"message":"Invalid namespace"}'
        await websocket.send('425["hello"]')
        assert await receive(websocket) == "435[]"


async def test_a_second_post_at_the_same_time_closes_the_session() -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        with raw_post(record, sid, content_length=100) as first:
            await until(lambda: record.client.engine.sockets[sid].posting)
            assert (await record.client.post(sid, '42["hello"]')).status_code == 400
            assert b" 400 " in await read_line(first)
        await until(lambda: record.count("disconnect") == 1)


async def test_a_post_that_is_never_finished_ends_with_the_session() -> None:
    async with recorder(ping_interval=0.1, ping_timeout=0.1) as record:
        sid = await record.client.handshake()
        with raw_post(record, sid, content_length=100) as unfinished:
            assert b" 400 " in await read_line(unfinished)
        assert record.server.open_count == 0


async def test_a_chunked_body_over_the_limit_is_not_read_to_its_end() -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        with raw_post(record, sid, content_length=None) as endless:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(endless, b"4e20\r\n" + b"4" * 20_000 + b"\r\n")
            assert b" 413 " in await read_line(endless)
        await until(lambda: record.count("disconnect") == 1)


async def test_a_peer_that_ignores_the_close_frame_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        host, port = record.client.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        # A masked text frame of one byte: "x".
        writer.write(b"\x81\x81\x00\x00\x00\x00x")
        await soon(reader.read(-1), 3)
        writer.close()
        await writer.wait_closed()


def raw_post(record: Recorder, sid: str, content_length: int | None) -> socket.socket:
    """Begin a POST and leave its body open."""
    host, port = record.client.address.split(":")
    connection = socket.create_connection((host, int(port)))
    length = "Transfer-Encoding: chunked" if content_length is None else f"Content-Length: {content_length}"
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n"
    connection.sendall(head.encode())
    connection.setblocking(False)
    return connection


async def read_line(connection: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(connection, 100)
