"""Messages are compressed once for all, never with secrets; what a client compressed counts as what it becomes."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from app.compression import MIN_MESSAGE, MIN_SIZE, accepts_gzip, deflated, gzipped
from app.socketio_server import Encoded, WebSocketProtocol
from app.socketio_server.extensions import accept_deflate
from app.socketio_server.queues import Outbox
from app.socketio_server.refusals import Refusal
from app.socketio_server.websocket_frames import FrameError, inflated
from tests.harness.frames import (
    BINARY,
    COMPRESSED,
    CONTINUATION,
    EXTENSION,
    PING,
    TEXT,
    FrameClient,
    frame_client,
)
from tests.harness.waiting import until

from .harness import Client, Recorder, receive, recorder, serve

ACCEPTED = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
BITS = ACCEPTED + b"; server_max_window_bits=15"
LARGE = {"movies": [{"id": f"m{number}", "title": f"Title {number}"} for number in range(100)]}
LIMIT = 16_384


# Negotiation


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("", None),
        ("permessage-deflate", ACCEPTED),
        ("permessage-deflate; client_max_window_bits", ACCEPTED),
        ("permessage-deflate;client_max_window_bits=9", ACCEPTED),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", ACCEPTED),
        ("permessage-deflate; server_max_window_bits=15", BITS),
        ('permessage-deflate ; server_max_window_bits = "1\\5"\t', BITS),
        ("permessage-deflate; server_max_window_bits=14", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ACCEPTED),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=15", BITS),
        ("permessage-deflate, permessage-deflate; server_max_window_bits=15", ACCEPTED),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=08", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; unknown", None),
        ("x-webkit-deflate-frame", None),
        (',, x-one; a=b; c="d" ,, permessage-deflate', ACCEPTED),
    ],
)
def test_the_first_offer_that_can_be_kept_is_accepted(offers: str, answer: bytes | None) -> None:
    assert accept_deflate(offers) == answer


@pytest.mark.parametrize(
    "offers", [",;", "a b", "a;", "a;b=", 'a;b=""', 'a;b="c', 'a;b="c d"', "permessage-deflate; x, \xff", "a/b"]
)
def test_a_malformed_header_is_refused(offers: str) -> None:
    with pytest.raises(Refusal):
        accept_deflate(offers)


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "asgi"])
async def test_a_handshake_with_a_malformed_header_is_refused(direct: bool) -> None:
    async with recorder(direct=direct) as record:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await record.client.websocket(additional_headers={"Sec-WebSocket-Extensions": "permessage-deflate;"})
        assert refused.value.response.status_code == 400
        assert record.server.open_count == 0


@pytest.mark.parametrize(("direct", "compression"), [(True, False), (False, True)], ids=["switched off", "asgi"])
async def test_where_nothing_is_accepted_messages_are_plain(direct: bool, compression: bool) -> None:
    async with recorder(direct=direct, compression=compression) as record, joined(record.client) as websocket:
        assert "Sec-WebSocket-Extensions" not in handshake(websocket).headers
        sid = only_sid(record)
        record.server.deliver([sid], record.server.encode("news", LARGE, compress=True))
        assert event(await receive(websocket)) == ["news", LARGE]


async def test_a_client_that_insists_on_a_small_window_is_served_without_compression() -> None:
    small = ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=True)
    async with recorder() as record, joined(record.client, extensions=[small]) as websocket:
        assert "Sec-WebSocket-Extensions" not in handshake(websocket).headers


# Sending


async def test_a_message_is_compressed_once_for_all_who_accept_that() -> None:
    async with (
        recorder() as record,
        joined(record.client) as one,
        joined(record.client) as other,
        record.client.joined() as plain,
    ):
        message = record.server.encode("news", LARGE, compress=True)
        assert message.deflated is message.deflated
        assert len(message.deflated) < len(message.websocket) / 3
        record.server.deliver(list(record.server.manager.members(None)), message)
        for websocket in (one, other, plain):
            assert event(await receive(websocket)) == ["news", LARGE]


async def test_messages_of_one_turn_are_written_together_whether_compressed_or_not() -> None:
    async with recorder() as record, joined(record.client) as websocket:
        sid = only_sid(record)
        record.server.cork(sid)
        for number in range(3):
            record.server.deliver([sid], record.server.encode("news", number, LARGE, compress=True))
            record.server.deliver([sid], record.server.encode("note", number))
        for number in range(3):
            assert event(await receive(websocket)) == ["news", number, LARGE]
            assert event(await receive(websocket)) == ["note", number]


async def test_secrets_and_small_messages_are_sent_as_they_are() -> None:
    async with recorder() as record, raw(record.client) as client:
        token = "x" * (2 * MIN_SIZE)
        await client.send(b'420["hello","' + token.encode() + b'"]')
        assert await client.frame() == (0x80 | TEXT, f'430["{token}"]'.encode())
        sid = only_sid(record)
        for text, is_compressed in (("x" * (MIN_MESSAGE // 2), False), (token, True)):
            record.server.deliver([sid], record.server.encode("news", text, compress=True))
            first, payload = await client.frame()
            assert first == (0x80 | COMPRESSED | TEXT if is_compressed else 0x80 | TEXT)
            assert event((inflated(payload, 10_000) if is_compressed else payload).decode()) == ["news", text]
        record.server.deliver([sid], record.server.encode("secret", token))
        assert (await client.frame())[0] == 0x80 | TEXT


async def test_secrets_in_the_answer_to_a_connect_are_not_compressed() -> None:
    async with recorder() as record, raw(record.client, connect=False) as client:

        async def connect(sid: str, environ: object, auth: object) -> dict[str, str]:
            return {"pid": "x" * (2 * MIN_SIZE)}

        record.server.on("connect", connect)
        await client.send(b"40")
        assert (await client.frame())[0] == 0x80 | TEXT


def test_each_part_of_a_message_is_a_frame_of_its_own() -> None:
    text, attachment = "4" + "x" * MIN_SIZE, os.urandom(10)
    message = Encoded(text, attachment, compress=True)
    payload = deflated(text.encode())
    assert message.deflated == bytes((0xC1, len(payload))) + payload + b"\x82\x0a" + attachment


def test_what_is_compressed_while_it_waits_is_counted_rightly() -> None:
    outbox = Outbox()
    messages = [Encoded("4" + "x" * size, compress=True) for size in (2000, 3000)]
    for message in messages:
        outbox.put(message, "room")
        before = message.size
        assert len(message.deflated) == message.size - before
    assert outbox.size == messages[1].size - len(messages[1].deflated)
    assert outbox.pop() is messages[1]
    assert outbox.size == 0
    outbox.put(messages[0])
    assert outbox.size == messages[0].size


# Receiving


@given(st.binary(max_size=2000))
def test_what_is_compressed_becomes_what_it_was(data: bytes) -> None:
    assert inflated(deflated(data), 2000) == data
    assert gzip.decompress(gzipped(data)) == data


# RFC 7692, section 7.2.3: one block, a block without compression, a last block, two blocks, nothing.
@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ("f2 48 cd c9 c9 07 00", b"Hello"),
        ("00 05 00 fa ff 48 65 6c 6c 6f 00", b"Hello"),
        ("f3 48 cd c9 c9 07 00 00", b"Hello"),
        ("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", b"Hello"),
        ("00", b""),
    ],
)
def test_the_examples_of_the_specification_are_read(payload: str, data: bytes) -> None:
    assert inflated(bytes.fromhex(payload), 5) == data


INVALID = {
    "nothing": b"",
    "other data": b"\xff\xff\xff\xff",
    "a part": deflated(os.urandom(100))[:-20],
    "a part of a stored block": bytes.fromhex("00 05 00 fa ff 48 65"),
    "more behind the last block": bytes.fromhex("f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00"),
    "a distance before the beginning": bytes.fromhex("f2 00 11 00 00"),
}


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
def test_what_is_not_compressed_data_fails(payload: bytes) -> None:
    with pytest.raises(FrameError) as failed:
        inflated(payload, 1000)
    assert failed.value.code == 1007


def test_a_message_of_the_largest_size_is_accepted_and_none_that_is_larger() -> None:
    for make in (bytes, os.urandom):
        assert len(inflated(deflated(make(LIMIT)), LIMIT)) == LIMIT
        with pytest.raises(FrameError) as failed:
            inflated(deflated(make(LIMIT + 1)), LIMIT)
        assert failed.value.code == 1009


def test_a_bomb_is_never_in_memory() -> None:
    bomb = deflated(bytes(50 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(FrameError):
            inflated(bomb, LIMIT)
        # The data that came is copied a few times.
        assert tracemalloc.get_traced_memory()[1] < 4 * len(bomb) + 10 * LIMIT
    finally:
        tracemalloc.stop()


async def test_compressed_messages_are_handled_however_they_are_divided() -> None:
    async with recorder() as record, raw(record.client) as client:
        payload = deflated(b'421["hello","' + b"x" * 5000 + b'"]')
        await client.send(payload, COMPRESSED | TEXT)
        await client.send(payload[:10], COMPRESSED | TEXT, fin=False)
        await client.send(b"?", PING)
        await client.send(payload[10:11], CONTINUATION, fin=False)
        await client.send(payload[11:], CONTINUATION)
        await client.send(b'422["hello"]')
        answer = '431["' + "x" * 5000 + '"]'
        # A ping may be answered before the events that came earlier.
        assert sorted([await client.frame() for _ in range(4)]) == [
            (0x81, answer.encode()),
            (0x81, answer.encode()),
            (0x81, b"432[]"),
            (0x8A, b"?"),
        ]


FAILING = {
    "not offered": (False, [(b"x", COMPRESSED | TEXT, True)], 1002),
    "another reserved bit": (True, [(b"x", 0x20 | TEXT, True)], 1002),
    "a compressed ping": (True, [(b"x", COMPRESSED | PING, True)], 1002),
    "a compressed continuation": (True, [(b"\0", COMPRESSED | TEXT, False), (b"\0", COMPRESSED, True)], 1002),
    "other data": (True, [(b"\xff\xff", COMPRESSED | TEXT, True)], 1007),
    "no UTF-8": (True, [(deflated(b"4\xff"), COMPRESSED | TEXT, True)], 1007),
    "a bomb": (True, [(deflated(bytes(1 << 22)), COMPRESSED | TEXT, True)], 1009),
}


@pytest.mark.parametrize(("offers", "frames", "code"), FAILING.values(), ids=FAILING)
async def test_a_wrong_frame_fails_the_connection(
    offers: bool, frames: list[tuple[bytes, int, bool]], code: int
) -> None:
    async with recorder() as record, raw(record.client, offers=offers) as client:
        for payload, first, fin in frames:
            await client.send(payload, first, fin=fin)
        assert await client.frame() == (0x88, code.to_bytes(2, "big"))
        await until(lambda: record.count("disconnect") == 1)


async def test_large_messages_count_as_several_events() -> None:
    large = deflated(b'42["hello","' + b"x" * 150_000 + b'"]')
    async with recorder(events_per_second=0.001, burst=25, max_payload=1 << 18) as record, AsyncExitStack() as stack:
        client = await stack.enter_async_context(raw(record.client))
        other = await stack.enter_async_context(record.client.joined())
        for _ in range(5):
            await client.send(large, COMPRESSED | TEXT)
        # Each counts as ten, and the third one is beyond the burst.
        await until(lambda: record.count("hello") == 3)
        for _ in range(10):
            await other.send('421["hello"]')
            await receive(other)
        assert record.count("hello") == 3 + 10


class Turns:
    """Receives messages, and notes how many turns of the event loop there were before each."""

    def __init__(self) -> None:
        self.noted: list[int] = []
        self._turn = 0

    def opened(self, _websocket: object) -> None:
        self._next()

    def received(self, _message: str | bytes) -> bool:
        self.noted.append(self._turn)
        return True

    def failed(self, code: int) -> None:
        raise AssertionError(code)

    def lost(self) -> None:
        return

    def _next(self) -> None:
        self._turn += 1
        if len(self.noted) < 8:
            asyncio.get_running_loop().call_soon(self._next)


async def test_little_data_that_becomes_much_is_handled_in_several_turns() -> None:
    turns = Turns()

    def take_over(_scope: object) -> WebSocketProtocol:
        return WebSocketProtocol(turns, 1 << 18, ACCEPTED)

    async def no_application(_scope: object, _receive: object, _send: object) -> None:
        raise AssertionError

    async with (
        serve(no_application, path="/", take_over=take_over) as address,
        frame_client(address, "/", EXTENSION) as client,
    ):
        await client.send(deflated(bytes(200_000)), COMPRESSED | BINARY, times=8)
        await until(lambda: len(turns.noted) == 8)
        assert max(turns.noted.count(turn) for turn in turns.noted) <= 2


# Long-polling


async def poll(record: Recorder, *messages: Encoded, accept: str = "gzip, deflate") -> httpx.Response:
    """The answer to a client that polls for these messages."""
    sid = await record.client.connect()
    (session,) = record.server.connections()
    for message in messages:
        session.send(message)
    query = f"EIO=4&transport=polling&sid={sid}"
    return await record.client.request("GET", query, headers={"Accept-Encoding": accept})


async def test_an_update_is_compressed_once_for_both_transports() -> None:
    async with recorder() as record:
        message = record.server.encode("news", LARGE, compress=True)
        made = message.deflated
        answer = await poll(record, message)
        assert message.deflated is made
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert int(answer.headers["content-length"]) < len(made) + 30
        assert event(answer.text) == ["news", LARGE]


async def test_several_messages_are_compressed_as_one_answer() -> None:
    async with recorder() as record:
        news, note = (record.server.encode(name, LARGE, compress=True) for name in ("news", "note"))
        answer = await poll(record, news, note)
        assert answer.headers["content-encoding"] == "gzip"
        assert [event(packet) for packet in answer.text.split("\x1e")] == [["news", LARGE], ["note", LARGE]]


@pytest.mark.parametrize(
    ("is_large", "is_secret", "accept", "compression", "varies"),
    [
        (True, False, "gzip;q=0", True, True),
        (True, False, "", True, True),
        (True, False, "gzip", False, False),
        (False, False, "gzip", True, False),
        (True, True, "gzip", True, False),
    ],
    ids=["not wanted", "not accepted", "switched off", "small", "secret"],
)
async def test_other_answers_to_polls_are_plain(
    is_large: bool, is_secret: bool, accept: str, compression: bool, varies: bool
) -> None:
    async with recorder(compression=compression) as record:
        news = record.server.encode("news", LARGE if is_large else 1, compress=True)
        answer = await poll(record, news, *([record.server.encode("token", "t")] if is_secret else []), accept=accept)
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        assert ("vary" in answer.headers) == varies


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        (None, False),
        ("identity, deflate", False),
        ("gzip, deflate, br, zstd", True),
        ("GZIP", True),
        ("br;q=1.0, gzip; q=0.8, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
    ],
)
def test_gzip_is_used_where_it_is_accepted(field: str | None, accepted: bool) -> None:
    assert accepts_gzip(field) is accepted


# Clients


@asynccontextmanager
async def joined(client: Client, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client of the `websockets` library that offers compression, in the main namespace."""
    async with client.websocket(**({"compression": "deflate"} | options)) as websocket:
        await websocket.recv()
        await websocket.send("40")
        assert str(await receive(websocket)).startswith("40{")
        yield websocket


def handshake(websocket: ClientConnection) -> websockets.Response:
    assert websocket.response is not None
    return websocket.response


@asynccontextmanager
async def raw(client: Client, *, offers: bool = True, connect: bool = True) -> AsyncIterator[FrameClient]:
    """A client of the Socket.IO server, by default in the main namespace."""
    target = f"{client.path}?EIO=4&transport=websocket"
    async with frame_client(client.address, target, EXTENSION if offers else "") as opened:
        assert (EXTENSION in opened.head) == offers
        assert (await opened.frame()).payload.startswith(b"0{")
        if connect:
            await opened.send(b"40")
            assert (await opened.frame()).payload.startswith(b"40{")
        yield opened


def only_sid(record: Recorder) -> str:
    (sid,) = record.server.manager.members(None)
    return str(sid)


def event(packet: str | bytes) -> list[object]:
    assert isinstance(packet, str)
    assert packet.startswith("42")
    decoded: list[object] = json.loads(packet[2:])
    return decoded
