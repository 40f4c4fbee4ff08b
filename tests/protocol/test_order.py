"""One client's events take effect in the order sent, and each that asks for an acknowledgement gets exactly one."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from websockets.asyncio.client import ClientConnection

from app.socketio_server import RoomManager, WrongArguments, current_event
from tests.harness.waiting import until

from .harness import SEPARATOR, closed, receive, recorder, soon


async def test_events_of_one_client_are_handled_one_after_another() -> None:
    trace: list[tuple[str, int]] = []

    async def slow(sid: str, number: int) -> int:
        trace.append(("begin", number))
        await asyncio.sleep(0.02 if number % 2 else 0)
        trace.append(("end", number))
        return number

    async with recorder() as record, record.client.joined() as websocket:
        record.server.on("slow", slow)
        for number in range(6):
            await websocket.send(f'42{number}["slow",{number}]')
        assert [await receive(websocket) for _ in range(6)] == [f"43{number}[{number}]" for number in range(6)]
    assert trace == [(step, number) for number in range(6) for step in ("begin", "end")]


async def test_different_clients_are_handled_at_the_same_time() -> None:
    released = asyncio.Event()

    async def wait(sid: str) -> None:
        await released.wait()

    async with recorder() as record, record.client.joined() as first, record.client.joined() as second:
        record.server.on("wait", wait)
        await first.send('421["wait"]')
        await second.send('421["hello"]')
        assert await soon(receive(second)) == "431[]"
        released.set()
        assert await soon(receive(first)) == "431[]"


async def test_pongs_are_read_while_a_handler_runs() -> None:
    released = asyncio.Event()

    async def wait(sid: str) -> None:
        await released.wait()

    async with (
        recorder(ping_interval=0.1, ping_timeout=0.1) as record,
        record.client.joined() as websocket,
    ):
        record.server.on("wait", wait)
        await websocket.send('421["wait"]')
        for _ in range(4):
            assert await websocket.recv() == "2"
            await websocket.send("3")
        released.set()
        assert await receive(websocket) == "431[]"


@pytest.mark.parametrize("count", [17, 1000, 2000])
async def test_events_buffered_before_the_connection_all_arrive_over_polling(count: int) -> None:
    async with recorder(events_per_second=100, burst=2010, max_payload=65_536) as record:
        sid = await record.client.handshake()
        packets = ["40", *(f'42["hello",{number}]' for number in range(count))]
        response = await record.client.post(sid, SEPARATOR.join(packets))
        assert (response.status_code, response.text) == (200, "ok")
        await until(lambda: record.count("hello") == count)
        assert record.calls == [("connect", None), *(("hello", number) for number in range(count))]


async def test_events_buffered_before_the_connection_all_arrive_over_a_websocket() -> None:
    async with recorder(events_per_second=100, burst=2010) as record, record.client.opened() as websocket:
        await websocket.send("40")
        for number in range(2000):
            await websocket.send(f'42["hello",{number}]')
        await until(lambda: record.count("hello") == 2000)
        assert record.calls == [("connect", None), *(("hello", number) for number in range(2000))]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_over_its_rate_a_client_is_read_more_slowly_and_loses_nothing(transport: str) -> None:
    loop = asyncio.get_running_loop()
    # Its pongs lie behind what has not been read; that must not count as silence.
    options: dict[str, Any] = {"events_per_second": 100, "burst": 20, "ping_interval": 0.1, "ping_timeout": 0.1}
    events = [f'42["hello",{number}]' for number in range(120)]
    async with recorder(**options) as record:
        started = loop.time()
        if transport == "websocket":
            async with record.client.joined() as websocket:
                for event in events:
                    await websocket.send(event)
                await until(lambda: record.count("hello") == 120)
        else:
            sid = await record.client.handshake()
            assert (await record.client.post(sid, SEPARATOR.join(["40", *events]))).status_code == 200
            await until(lambda: record.count("hello") == 120)
        assert loop.time() - started > 0.9
        assert [call for call in record.calls if call[0] == "hello"] == [("hello", number) for number in range(120)]


async def test_a_client_ahead_of_its_handlers_is_not_read() -> None:
    released = asyncio.Event()

    async def wait(sid: str, text: str) -> None:
        await released.wait()
        record.calls.append(("waited",))

    async with recorder(ping_interval=0.2, ping_timeout=0.3, max_queued=50) as record:
        record.server.on("wait", wait)
        async with record.client.joined() as websocket:
            (session,) = record.server.connections()
            count = 10_000
            sending = asyncio.create_task(send_all(websocket, ['42["wait","' + "x" * 1000 + '"]'] * count))
            pongs = asyncio.create_task(answer_pings(websocket))
            await until(lambda: session.unhandled > 0)
            # Longer than a ping and its time-out: the client is not to blame.
            await asyncio.sleep(0.7)
            assert 0 < session.unhandled <= 50
            assert not sending.done()
            assert not session.closed
            released.set()
            await soon(sending, 20)
            await until(lambda: record.count("waited") == count)
            pongs.cancel()


async def answer_pings(websocket: Any) -> None:
    async for packet in websocket:
        if packet == "2":
            await websocket.send("3")


async def send_all(websocket: Any, packets: list[str]) -> None:
    for packet in packets:
        await websocket.send(packet)


async def test_every_event_that_asks_is_acknowledged_exactly_once() -> None:
    failures: list[tuple[str, str]] = []

    async def failed(sid: str, event: str, error: Exception) -> Any:
        failures.append((event, type(error).__name__))
        if event == "hook fails":
            raise RuntimeError
        return ("failed", event)

    async def fail(sid: str) -> None:
        raise KeyError

    async def odd(sid: str) -> Any:
        return {1, 2}

    async with recorder(on_handler_error=failed) as record, record.client.joined() as websocket:
        for name, handler in {
            "fails": fail,
            "hook fails": fail,
            "no json": odd,
            "nothing": lambda sid: None,
            "several": lambda sid: (1, 2),
            "list": lambda sid: [1, 2],
            "nan": lambda sid: float("nan"),
        }.items():
            record.server.on(name, handler)
        expected = {
            "fails": '["failed","fails"]',
            "hook fails": "[]",
            "no json": '["failed","no json"]',
            "nothing": "[]",
            "several": "[1,2]",
            "list": "[[1,2]]",
            "nan": "[null]",
            "unknown": "[]",
        }
        for number, event in enumerate(expected):
            await websocket.send(f"42{number}{json.dumps([event])}")
        await websocket.send('4299["hello"]')
        answers = [await receive(websocket) for _ in range(len(expected) + 1)]
        assert answers == [*(f"43{number}{answer}" for number, answer in enumerate(expected.values())), "4399[]"]
    assert failures == [("fails", "KeyError"), ("hook fails", "KeyError"), ("no json", "TypeError")]


async def test_an_event_that_does_not_ask_is_not_answered() -> None:
    async with recorder() as record, record.client.joined() as websocket:
        for packet in ('42["hello"]', '42["unknown"]', '421["hello"]'):
            await websocket.send(packet)
        assert await receive(websocket) == "431[]"


async def test_events_without_a_handler_reach_the_catch_all() -> None:
    async def unknown(event: str, sid: str, *args: Any) -> Any:
        return [event, *args]

    async with recorder() as record, record.client.joined() as websocket:
        record.server.on("*", unknown)
        await websocket.send('421["constructor",5]')
        assert await receive(websocket) == '431[["constructor",5]]'


async def test_a_handler_learns_what_it_handles() -> None:
    async def what(sid: str) -> Any:
        event = current_event.get()
        return event.name, event.sid == sid, event.namespace, event.ack_requested

    seen = []

    async def quiet(sid: str) -> None:
        seen.append(current_event.get().ack_requested)

    async with recorder() as record, record.client.joined() as websocket:
        record.server.on("what", what)
        record.server.on("quiet", quiet)
        await websocket.send('42["quiet"]')
        await websocket.send('421["what"]')
        assert await receive(websocket) == '431["what",true,"/",true]'
    assert seen == [False]


async def test_a_namespace_class_keeps_its_meaning() -> None:
    class Chat(socketio.AsyncNamespace):  # type: ignore[misc]
        async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
            await self.enter_room(sid, "everybody")

        async def on_say(self, sid: str, text: str) -> str:
            await self.emit("said", text, room="everybody")
            return text.upper()

    async with recorder() as record:
        record.server.register_namespace(Chat("/chat"))
        async with record.client.opened() as websocket:
            await websocket.send("40/chat,")
            assert str(await receive(websocket)).startswith("40/chat,{")
            await websocket.send('42/chat,7["say","x"]')
            assert [await receive(websocket), await receive(websocket)] == ['42/chat,["said","x"]', '43/chat,7["X"]']
            await websocket.send('42/chat,8["say"]')
            assert await receive(websocket) == "43/chat,8[]"


async def test_the_connect_handler_adds_to_the_answer_and_what_it_sends_comes_behind() -> None:
    seen = []

    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        seen.append((environ["path"], environ["REMOTE_ADDR"], auth))
        record.server.deliver([sid], record.server.encode("early", 1))
        await record.server.emit("early", 2, to=sid)
        return {"pid": "p1"}

    async with recorder(remember=lambda scope: {"path": scope["path"]}) as record:
        record.server.on("connect", connect)
        async with record.client.opened() as websocket:
            await websocket.send('40{"pid":"p0","offset":"7-1","token":"t"}')
            answer = str(await receive(websocket))
            assert json.loads(answer[2:]).keys() == {"sid", "pid"}
            assert [await receive(websocket) for _ in range(2)] == ['42["early",1]', '42["early",2]']
    assert seen == [("/socket.io/", "127.0.0.1", {"pid": "p0", "offset": "7-1", "token": "t"})]


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (False, '44{"message":"Connection refused"}'),
        (socketio.exceptions.ConnectionRefusedError("full", {"limit": 3}), '44{"message":"full","data":{"limit":3}}'),
        (ValueError("secret"), '44{"message":"Connection refused"}'),
    ],
    ids=["false", "refused", "failed"],
)
async def test_a_refused_connection_gets_a_reason_and_nothing_else(outcome: Any, answer: str) -> None:
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        await record.server.emit("early", to=sid)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async with recorder(connect_timeout=0.2, on_handler_error=lambda *_: None) as record:
        record.server.on("connect", connect)
        async with record.client.opened() as websocket:
            await websocket.send("40")
            assert await receive(websocket) == answer
            assert record.server.manager.rooms == {}
            # In no namespace, it is closed like one that never asked.
            assert await soon(closed(websocket)) == []
        assert record.count("disconnect") == 0


async def test_the_server_disconnects_a_client_behind_the_events_it_is_handling() -> None:
    sids = []

    async def kick(sid: str) -> str:
        sids.append(sid)
        await record.server.disconnect(sid)
        record.calls.append(("kicked",))
        return "bye"

    async with recorder() as record, record.client.joined() as websocket:
        record.server.on("kick", kick)
        await websocket.send('421["kick"]')
        await websocket.send('422["hello"]')
        assert [await receive(websocket) for _ in range(2)] == ["41", '431["bye"]']
        await until(lambda: record.count("disconnect") == 1)
        assert record.calls[1:] == [("kicked",), ("disconnect", "server disconnect")]
        # Late events are ignored, and the client may come back on the same connection.
        await websocket.send('423["hello"]')
        await websocket.send("40")
        assert str(await receive(websocket)).startswith("40{")


async def test_the_events_of_a_client_that_left_take_effect_before_its_disconnect() -> None:
    async def slow(sid: str, number: int) -> None:
        await asyncio.sleep(0.01)
        async with record.server.session(sid) as session:
            session["last"] = number

    async def disconnect(sid: str, reason: str) -> None:
        record.calls.append(("left", reason, (await record.server.get_session(sid))["last"]))

    async with recorder() as record:
        record.server.on("slow", slow)
        record.server.on("disconnect", disconnect)
        async with record.client.joined() as websocket:
            for number in range(5):
                await websocket.send(f'42["slow",{number}]')
        await until(lambda: record.count("left") == 1)
        assert record.calls[-1] == ("left", "transport close", 4)


async def test_a_handler_may_wait_for_its_own_client() -> None:
    async def ask(sid: str) -> Any:
        return await record.server.call("question", "?", to=sid, timeout=2)

    async with recorder() as record, record.client.joined() as websocket:
        record.server.on("ask", ask)
        await websocket.send('429["ask"]')
        question = str(await receive(websocket))
        assert question.endswith('["question","?"]')
        ack = question.removeprefix("42").partition("[")[0]
        await websocket.send(f'43{ack}["answer"]')
        # A second answer is nobody's.
        await websocket.send(f'43{ack}["again"]')
        assert await receive(websocket) == '439["answer"]'


async def test_each_recipient_of_an_emit_answers_its_callback() -> None:
    answers: list[str] = []
    failures: list[str] = []

    async def answered(answer: str) -> None:
        answers.append(answer)
        if answer == "fails":
            raise ValueError

    def failed(_sid: str, event: str, _error: Exception) -> None:
        failures.append(event)

    async with (
        recorder(on_handler_error=failed) as record,
        record.client.joined() as first,
        record.client.joined() as second,
    ):
        await record.server.emit("ask", callback=answered)
        for websocket, answer in ((first, "fine"), (second, "fails")):
            question = str(await receive(websocket))
            await websocket.send(question.replace("42", "43", 1).replace("ask", answer))
        await until(lambda: sorted(answers) == ["fails", "fine"] and failures == ["ack"])


async def test_a_disconnect_handler_may_leave_out_the_reason_and_fail() -> None:
    failures: list[str] = []

    async def disconnect(sid: str) -> None:
        record.calls.append(("left", sid))
        raise ValueError

    async with recorder(on_handler_error=lambda _sid, event, _error: failures.append(event)) as record:
        record.server.on("disconnect", disconnect)
        async with record.client.joined():
            pass
        await until(lambda: failures == ["disconnect"])
        assert record.count("left") == 1
        assert record.server.manager.rooms == {}


async def test_an_error_is_answered_with_nothing_where_the_answer_is_no_json() -> None:
    async def fail(sid: str) -> None:
        raise KeyError

    async with recorder(on_handler_error=lambda *_: {1, 2}) as record, record.client.joined() as websocket:
        record.server.on("fails", fail)
        await websocket.send('421["fails"]')
        assert await receive(websocket) == "431[]"


async def test_wrong_arguments_name_the_event() -> None:
    errors: list[Exception] = []

    async with recorder(on_handler_error=lambda _sid, _event, error: errors.append(error)) as record:
        record.server.on("none", lambda sid: None)
        async with record.client.joined() as websocket:
            await websocket.send('421["none",1]')
            assert await receive(websocket) == "431[]"
    assert [(type(error), str(error)) for error in errors] == [(WrongArguments, "none")]


async def test_the_manager_does_not_live_in_anybodys_context() -> None:
    variable = contextvars.ContextVar("variable", default="nobody")

    class Manager(RoomManager):
        seen = ""

        def initialize(self) -> None:
            Manager.seen = variable.get()

    variable.set("first client")
    async with recorder(client_manager=Manager()):
        assert Manager.seen == "nobody"


async def test_a_message_sent_during_an_upgrade_arrives_once_and_in_order() -> None:
    async with recorder() as record:
        sid = await record.client.handshake()
        await record.client.post(sid, "40")
        connect = (await record.client.poll(sid)).text
        socket_id = json.loads(connect[2:])["sid"]
        numbers = iter(range(100))

        def send() -> None:
            record.server.deliver([socket_id], record.server.encode("n", next(numbers)))

        send()
        received = [(await record.client.poll(sid)).text]
        async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
            poll = asyncio.create_task(record.client.poll(sid))
            await until(lambda: record.client.engine.sockets[sid].polling)
            await websocket.send("2probe")
            assert await websocket.recv() == "3probe"
            assert (await poll).text == "6"
            send()
            received.append((await record.client.poll(sid)).text)
            send()
            await websocket.send("5")
            send()
            received.append(str(await receive(websocket)))
            received.append(str(await receive(websocket)))
        assert received == [f'42["n",{number}]' for number in range(4)]


async def test_a_failed_probe_leaves_the_client_on_polling() -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        for probe in ("2wrong", "x", "5"):
            async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
                await websocket.send(probe)
                assert await soon(closed(websocket)) == []
        assert (await record.client.post(sid, '421["hello"]')).status_code == 200
        assert (await record.client.poll(sid)).text == "431[]"


async def test_a_probe_that_leads_nowhere_is_given_up() -> None:
    async with recorder(upgrade_timeout=0.1) as record:
        sid = await record.client.connect()
        async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
            await websocket.send("2probe")
            assert await soon(closed(websocket)) == ["3probe"]
        assert (await record.client.post(sid, '421["hello"]')).status_code == 200


async def test_a_session_that_ends_before_its_probe_was_answered_takes_the_websocket_with_it() -> None:
    async with recorder() as record:
        sid = await record.client.connect()
        async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
            await until(lambda: record.client.engine.sockets[sid].upgrade is not None)
            await record.client.post(sid, "1")
            assert await soon(closed(websocket)) == []
        await until(lambda: record.count("disconnect") == 1)


@asynccontextmanager
async def ended_after_its_probe() -> AsyncIterator[ClientConnection]:
    """The WebSocket of a session that the server has ended between the answer to the probe and the next packet.

    Stock clients that lose it then neither poll nor send until a heartbeat is missed.
    """
    async with recorder() as record:
        sid = await record.client.connect()
        async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
            await websocket.send("2probe")
            assert await websocket.recv() == "3probe"
            record.client.engine.sockets[sid].close("drained", code=1012)
            await until(lambda: record.count("disconnect") == 1)
            yield websocket


async def test_the_websocket_of_a_session_that_ends_after_its_probe_was_answered_waits_for_the_next_packet() -> None:
    async with ended_after_its_probe() as websocket:
        await (await websocket.ping())
        await websocket.send("5")
        assert await soon(closed(websocket), 1) == []
        assert websocket.close_code == 1012


async def test_a_client_that_does_not_upgrade_does_not_keep_the_websocket_of_a_session_that_has_ended() -> None:
    async with ended_after_its_probe() as websocket:
        assert await soon(closed(websocket)) == []
        assert websocket.close_code == 1012
