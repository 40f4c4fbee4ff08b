"""One message to many: written in place, coalesced for those who are slow, never at the cost of the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from app.socketio_server import Connection, Encoded, Observer
from tests.harness.frames import frame_client
from tests.harness.waiting import until

from .harness import SEPARATOR, Client, Recorder, closed, receive, recorder, soon

LARGE = "x" * 20_000


class Counter(Observer):
    def __init__(self) -> None:
        self.coalesced_count = 0
        self.slow_count = 0
        self.closed_reasons: list[tuple[str, str]] = []

    def coalesced(self) -> None:
        self.coalesced_count += 1

    def slow(self) -> None:
        self.slow_count += 1

    def closed(self, transport: str, reason: str) -> None:
        self.closed_reasons.append((transport, reason))


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def record(request: pytest.FixtureRequest, counter: Counter) -> AsyncIterator[Recorder]:
    async with recorder(direct=request.param, observer=counter, write_timeout=20) as record:
        yield record


def only_socket(record: Recorder) -> tuple[str, Connection]:
    (sid,) = record.server.manager.members(None)
    (session,) = record.server.connections()
    return sid, session


def fill(record: Recorder, sid: str, session: Connection) -> int:
    """Send to a client that does not read until it can take no more; return how many messages that took."""
    count = 0
    message = record.server.encode("fill", LARGE)
    # ASGI's `send` takes many before it waits for the client.
    while session.unsent < 20 * message.size:
        record.server.deliver([sid], message)
        count += 1
    return count


async def test_every_transport_gets_a_message_that_was_encoded_once(record: Recorder) -> None:
    client = record.client
    polling, upgraded = await client.connect(), await client.connect()
    async with (
        client.joined() as direct,
        client.websocket(f"EIO=4&transport=websocket&sid={upgraded}") as websocket,
    ):
        await client.upgrade(upgraded, websocket)
        await until(lambda: client.engine.sockets[upgraded].upgraded)
        poll = asyncio.create_task(client.poll(polling))
        await until(lambda: client.engine.sockets[polling].polling)
        message = record.server.encode("update", {"title": "é✓"}, "7-1")
        record.server.deliver(record.server.manager.members(None), message)
        expected = '42["update",{"title":"é✓"},"7-1"]'
        assert await receive(direct) == expected
        assert await receive(websocket) == expected
        assert (await poll).text == expected


@pytest.mark.parametrize("size", [0, 100, 125, 126, 127, 65_535, 65_536, 200_000])
async def test_a_message_of_any_length_arrives_whole(record: Recorder, size: int) -> None:
    async with record.client.joined() as websocket:
        sid, _ = only_socket(record)
        overhead = record.server.encode("e", "").size
        record.server.deliver([sid], record.server.encode("e", "x" * max(0, size - overhead)))
        record.server.deliver([sid], record.server.encode("end"))
        assert len(str(await receive(websocket))) == max(size - overhead, 0) + len('42["e",""]')
        assert await receive(websocket) == '42["end"]'


async def test_an_unknown_socket_is_passed_over(record: Recorder) -> None:
    async with record.client.joined() as websocket:
        sid, _ = only_socket(record)
        record.server.deliver(["gone", sid, "gone"], record.server.encode("e"))
        assert await receive(websocket) == '42["e"]'


async def test_a_slow_client_gets_the_newest_and_no_backlog(record: Recorder, counter: Counter) -> None:
    async with record.client.unread() as websocket:
        sid, session = only_socket(record)
        count = fill(record, sid, session)
        waiting = session.unsent
        for number in range(1000):
            record.server.deliver([sid], record.server.encode("state", number, LARGE), latest="state")
        assert session.unsent < waiting + len(LARGE) + 1000
        assert counter.coalesced_count == 999
        for _ in range(count):
            assert '"fill"' in str(await receive(websocket))
        assert str(await receive(websocket)).startswith('42["state",999,')
        record.server.deliver([sid], record.server.encode("end"))
        assert await receive(websocket) == '42["end"]'


async def test_the_newest_never_overtakes_what_was_sent_before_it(record: Recorder) -> None:
    async with record.client.unread() as websocket:
        sid, session = only_socket(record)
        count = fill(record, sid, session)

        def send(event: str, latest: str | None = None) -> None:
            record.server.deliver([sid], record.server.encode(event), latest=latest)

        send("a")
        send("state 1", "state")
        send("other 1", "other")
        send("b")
        send("state 2", "state")
        send("c")
        await websocket.send('425["hello"]')
        await until(lambda: record.count("hello") == 1)
        send("state 3", "state")
        received = [await receive(websocket) for _ in range(count + 6)][count:]
        assert received == ['42["a"]', '42["other 1"]', '42["b"]', '42["c"]', "435[]", '42["state 3"]']


async def test_a_client_with_too_much_waiting_is_dropped(record: Recorder, counter: Counter) -> None:
    async with record.client.unread() as websocket:
        sid, session = only_socket(record)
        fill(record, sid, session)
        async with record.client.joined() as other:
            (other_sid,) = set(record.server.manager.members(None)) - {sid}
            for _ in range(200):
                record.server.deliver([sid, other_sid], record.server.encode("more", LARGE))
                assert str(await receive(other)).startswith('42["more"')
            assert session.closed
            assert session.unsent == 0
            await until(lambda: record.count("disconnect") == 1)
            assert counter.slow_count == 1
            # It is cut off, so that it can come back at once.
            await soon(closed(websocket))
            assert websocket.close_code != 1000


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "asgi"])
async def test_a_write_that_is_stuck_is_given_up(counter: Counter, direct: bool) -> None:
    async with (
        recorder(direct=direct, observer=counter, write_timeout=0.2) as record,
        record.client.unread() as websocket,
    ):
        sid, session = only_socket(record)
        fill(record, sid, session)
        await until(lambda: session.closed)
        await until(lambda: record.count("disconnect") == 1)
        assert session.unsent == 0
        await soon(closed(websocket))
    assert counter.slow_count == 1
    assert counter.closed_reasons == [("websocket", "transport error")]


async def test_what_waits_for_a_poll_is_coalesced_too(record: Recorder, counter: Counter) -> None:
    sid = await record.client.connect()
    (socket_id,) = record.server.manager.members(None)
    for number in range(10):
        record.server.deliver([socket_id], record.server.encode("state", number), latest="state")
        record.server.deliver([socket_id], record.server.encode("n", number))
    expected = [f'42["n",{number}]' for number in range(9)] + ['42["state",9]', '42["n",9]']
    assert (await record.client.poll(sid)).text.split(SEPARATOR) == expected
    assert counter.coalesced_count == 9


async def test_a_polling_client_that_never_polls_is_dropped_at_the_limit(record: Recorder, counter: Counter) -> None:
    sid = await record.client.connect()
    (socket_id,) = record.server.manager.members(None)
    message = record.server.encode("more", LARGE)
    for _ in range((1 << 20) // message.size + 1):
        record.server.deliver([socket_id], message)
    await until(lambda: record.count("disconnect") == 1)
    assert counter.closed_reasons == [("polling", "transport error")]
    assert (await record.client.poll(sid)).status_code == 400


async def test_a_poll_whose_answer_is_not_read_is_given_up(counter: Counter) -> None:
    async with recorder(observer=counter, write_timeout=0.2) as record:
        sid = await record.client.connect()
        (socket_id,) = record.server.manager.members(None)
        for _ in range(40):
            record.server.deliver([socket_id], record.server.encode("more", LARGE))
        host, port = record.client.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: record.count("disconnect") == 1)
        assert counter.slow_count == 1
        # Cut off: less than the whole answer can be read.
        assert await soon(read_all(reader)) < 40 * len(LARGE)
        writer.close()


async def read_all(reader: asyncio.StreamReader) -> int:
    size = 0
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            size += len(chunk)
    return size


async def test_emits_to_rooms_keep_their_meaning(record: Recorder) -> None:
    server = record.server
    async with (
        record.client.joined() as first,
        record.client.joined() as second,
        record.client.joined() as third,
    ):
        sids = list(server.manager.members(None))
        for sid, rooms in zip(sids, (["a"], ["a", "b"], []), strict=True):
            for room in rooms:
                await server.enter_room(sid, room)
        await server.emit("to a", room="a")
        await server.emit("to both", 1, room=["a", "b"])
        await server.emit("not to second", (1, 2), room="a", skip_sid=sids[1])
        await server.emit("to third", to=sids[2])
        await server.leave_room(sids[1], "a")
        await server.close_room("b")
        await server.emit("to a", room="a")
        await server.emit("to b", room="b")
        await server.emit("to all")
        await server.send("plain")

        async def events(websocket: ClientConnection) -> list[Any]:
            received: list[Any] = []
            while received[-1:] != [["message", "plain"]]:
                received.append(json.loads(str(await receive(websocket))[2:]))
            return received[:-2]

        assert await events(first) == [["to a"], ["to both", 1], ["not to second", 1, 2], ["to a"]]
        assert await events(second) == [["to a"], ["to both", 1]]
        assert await events(third) == [["to third"]]
        assert sorted(server.rooms(sids[0])) == sorted(["a", sids[0]])


async def test_a_client_cannot_be_put_into_the_room_of_another(record: Recorder) -> None:
    async with record.client.joined(), record.client.joined():
        first, second = record.server.manager.members(None)
        with pytest.raises(ValueError, match="sid room"):
            await record.server.enter_room(first, second)
        with pytest.raises(ValueError, match="sid room"):
            await record.server.close_room(first)
        with pytest.raises(ValueError, match="not connected"):
            await record.server.enter_room("gone", "room")


async def test_nothing_is_left_of_those_who_left(record: Recorder) -> None:
    async with record.client.joined():
        (sid,) = record.server.manager.members(None)
        for number in range(50):
            await record.server.enter_room(sid, f"room {number}")
        await record.server.emit("ask", to=sid, callback=lambda: None)
    await until(lambda: record.count("disconnect") == 1)
    await until(lambda: not record.server.manager.rooms)
    manager = record.server.manager
    assert not manager._rooms_of
    assert not manager._callbacks


def test_a_message_is_shared_by_all_transports() -> None:
    message = Encoded("4hello", b"\x01\x02")
    assert message.websocket == b"\x81\x064hello\x82\x02\x01\x02"
    assert message.polling == b"4hello\x1ebAQI="
    assert [part.get("text", part.get("bytes")) for part in message.messages] == ["4hello", b"\x01\x02"]
    assert message.size > len(message.websocket)


async def test_what_a_connection_sends_last_is_not_lost(record: Recorder) -> None:
    async with record.client.joined() as websocket:
        sid, _ = only_socket(record)
        record.server.deliver([sid], record.server.encode("bye"))
        record.server.close_socket(sid)
        assert await soon(closed(websocket)) == ['42["bye"]']
        assert websocket.close_code == 1012


async def test_a_poll_gets_what_is_sent_last_and_the_end(record: Recorder) -> None:
    client: Client = record.client
    sid = await client.connect()
    (socket_id,) = record.server.manager.members(None)
    poll = asyncio.create_task(client.poll(sid))
    await until(lambda: client.engine.sockets[sid].polling)
    record.server.deliver([socket_id], record.server.encode("bye"))
    record.server.close_socket(socket_id)
    assert (await poll).text == SEPARATOR.join(['42["bye"]', "1"])


async def test_what_arrives_for_a_client_right_after_its_event_is_written_with_the_acknowledgement() -> None:
    async with recorder() as record:
        news = record.server.encode("news")
        near, far = socket.socketpair()
        loop = asyncio.get_running_loop()

        def announced() -> None:
            near.recv(1)
            # Rooms send in a later turn of the event loop, too.
            loop.call_soon(record.server.deliver, record.server.manager.members(None), news)

        async def vote(sid: str) -> None:
            far.send(b".")

        record.server.on("vote", vote)
        target = f"{record.client.path}?EIO=4&transport=websocket"
        with near, far:
            loop.add_reader(near, announced)
            async with frame_client(record.client.address, target) as client:
                await client.frame()
                await client.send(b"40")
                await client.frame()
                before = client.segments()
                for number in range(50):
                    await client.send(b'42%d["vote"]' % number)
                    assert (await client.frame()).payload == b"43%d[]" % number
                    assert (await client.frame()).payload == b'42["news"]'
                assert client.segments() - before == 50
            loop.remove_reader(near)
