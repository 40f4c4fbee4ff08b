"""Many packets, most odd and some wrong, over both transports: nothing breaks and nothing grows."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
from collections.abc import Callable

import psutil
import pytest

from tests.harness.waiting import until

from .harness import SEPARATOR, recorder

BATCH = 50
# Whose client has broken the framing waits for a second, until its server has given up on the close frame.
AT_ONCE = 50
GARBAGE_RATE = 0.03

ALPHABET = '0123456789[]{}",:-/\\ abcxyz\x00\x1f\x7fé✓😀'
NAMES = ["hello", "*", "", "constructor", "__class__", "on_connect", "é", "x" * 300, "message", "error", "ack"]


def random_text(choose: random.Random, most: int = 30) -> str:
    return "".join(choose.choices(ALPHABET, k=choose.randrange(most)))


def random_value(choose: random.Random, depth: int = 0) -> object:
    kinds: list[Callable[[], object]] = [
        lambda: None,
        lambda: choose.random() < 0.5,
        lambda: choose.randrange(-(2**70), 2**70),
        lambda: choose.uniform(-1e300, 1e300),
        lambda: random_text(choose),
    ]
    if depth < 4:
        kinds += [
            lambda: [random_value(choose, depth + 1) for _ in range(choose.randrange(4))],
            lambda: {random_text(choose, 8): random_value(choose, depth + 1) for _ in range(choose.randrange(4))},
        ]
    return choose.choice(kinds)()


def odd_packet(choose: random.Random) -> str:
    """A packet that the protocol allows."""
    kind = choose.randrange(12)
    if kind == 0:
        return "3" + random_text(choose, 4)
    if kind == 1:
        return f"43{choose.randrange(10**9)}{json.dumps([random_value(choose)])}"
    if kind == 2:
        return "40/" + random_text(choose, 8).replace(",", "").replace("\x1e", "")
    ack = str(choose.randrange(10**15)) if choose.random() < 0.5 else ""
    arguments = [random_value(choose) for _ in range(choose.randrange(4))]
    return f"42{ack}{json.dumps([choose.choice(NAMES), *arguments])}"


def wrong_packet(choose: random.Random) -> str:
    """A packet that may be wrong in any way."""
    kind = choose.randrange(4)
    if kind == 0:
        return random_text(choose)
    if kind == 1:
        return choose.choice("0123456789x") + choose.choice("0123456789x") + random_text(choose)
    packet = list(odd_packet(choose))
    for _ in range(choose.randrange(1, 4)):
        place = choose.randrange(len(packet) + 1)
        packet[place : place + choose.randrange(2)] = choose.choice(ALPHABET)
    return "".join(packet) if kind == 2 else "".join(packet[: choose.randrange(len(packet) + 1)])


def batch(choose: random.Random) -> list[str]:
    packets = [wrong_packet(choose) if choose.random() < GARBAGE_RATE else odd_packet(choose) for _ in range(BATCH - 1)]
    return ["40", *packets]


def frame(text: str) -> bytes:
    """A client's text frame, masked with zeros."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + b"\0\0\0\0" + data
    return bytes((0x81, 0xFE)) + size.to_bytes(2, "big") + b"\0\0\0\0" + data


async def speak_websocket(host: str, port: int, packets: list[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    # Every batch ends with the client's goodbye, a close frame included.
    writer.write(b"".join(map(frame, packets)) + frame("1") + b"\x88\x80\0\0\0\0")
    await drained(reader, writer)


async def speak_polling(host: str, port: int, packets: list[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    sid = json.loads((await reader.readexactly(length))[1:])["sid"]
    body = SEPARATOR.join([*packets, "1"]).encode()
    writer.write(
        f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await drained(reader, writer)


async def drained(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        pass
    writer.close()


@pytest.mark.parametrize("packets", [10_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(240)])])
async def test_odd_and_wrong_packets_leave_nothing_behind(packets: int, caplog: pytest.LogCaptureFixture) -> None:
    choose = random.Random(20260122)
    process = psutil.Process()
    caplog.set_level(logging.WARNING)
    async with recorder(max_payload=65_536) as record:

        async def anything(event: str, sid: str, *args: object) -> object:
            return args

        record.server.on("*", anything)
        host, port = record.client.address.split(":")
        tasks_before = len(asyncio.all_tasks())
        warm = 0
        rounds = packets // (BATCH * AT_ONCE)
        for number in range(rounds):
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                for index in range(AT_ONCE):
                    speak = speak_polling if index % 2 else speak_websocket
                    group.create_task(speak(host, int(port), batch(choose)))
            record.calls.clear()
            if number == rounds // 4:
                gc.collect()
                warm = process.memory_info().rss
        await until(lambda: record.server.open_count == 0)
        await until(lambda: not record.server.manager.rooms)
        gc.collect()
        assert process.memory_info().rss - warm < 8 * 2**20
        assert record.server.eio.sockets == {}
        await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
        # It still serves.
        sid = await record.client.connect()
        await record.client.post(sid, '421["hello",1]')
        assert (await record.client.poll(sid)).text == "431[1]"
    assert not [log for log in caplog.records if log.exc_info or log.levelno >= logging.ERROR]
    assert len(caplog.records) < 200
