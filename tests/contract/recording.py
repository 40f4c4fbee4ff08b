"""What a client sends and what it gets, byte by byte, written down such that two runs can be compared.

Ids, tokens, times and other values that differ from run to run are replaced by placeholders: the same value by the
same one. A recording is text: `>` is what the client sends, `<` what it gets, `#` says what happens.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import struct
from itertools import groupby
from typing import Any, Final, Self

from tests.harness.ports import LOOPBACK

__all__ = ["Answer", "Polling", "Recording", "WebSocket"]

_TIMEOUT_SECONDS: Final = 10.0
# What is learned from the JSON that the service sends: the key, and what its value is called in the recording.
_KINDS: Final = {
    "epoch": "epoch",
    "sessionID": "code",
    "participantID": "participant",
    "hostToken": "host token",
    "token": "token",
    "sid": "sid",
    "pid": "recovery",
}
# Shorter ones would be found in other text, too.
_MIN_LENGTH: Final = 6
_PATTERNS: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"(?<=^< date: ).+", re.M | re.I), "<date>"),
    (re.compile(r"(?<=^< retry-after: )\d+", re.M | re.I), "<seconds>"),
    (re.compile(r'(?<="retryAfter":)\d+'), "<seconds>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<host>"),
    (re.compile(r"'sha256-[^']+'"), "<hash>"),
    (re.compile(r'(?<="id":")[0-9a-f]{12}(?=")'), "<replica>"),
    # Codes of one digit.
    (
        re.compile(r'((?<="sessionID":")|(?<="sessionID": ")|(?<="join-session", ")|(?<=/api/session/))\d(?=["/ \n])'),
        "<digit>",
    ),
)
# Werkzeug has them in an order that differs from run to run.
_SETS: Final = ("allow", "access-control-allow-methods")
_UPGRADE: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)

Fields = tuple[tuple[str, str], ...]


class Answer:
    """Status, header fields and body of a response."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        self.first = first
        self.status = int(first.split(" ")[1])
        self.fields = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def field(self, name: str) -> str:
        return next(value for given, value in self.fields if given.lower() == name.lower())


class Recording:
    """One conversation; `text` is what is compared."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._handshakes: set[str] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def text(self) -> str:
        text = "\n".join(self._lines) + "\n"
        for value in sorted(self._names, key=len, reverse=True):
            text = text.replace(value, self._names[value])
        for pattern, placeholder in _PATTERNS:
            text = pattern.sub(placeholder, text)
        return text

    def note(self, text: str) -> None:
        """Say what happens next."""
        self._lines += ["", f"# {text}"]

    def write(self, mark: str, text: str) -> None:
        """Write a line down; objects in an array get lines of their own, where it is long."""
        if len(text) > 120:
            text = text.replace(',{"', ',\n      {"').replace('[{"', '[\n      {"')
        self._lines.append(f"{mark} {text}")

    def learn(self, kind: str, value: str) -> None:
        """From now on, and in what was written so far, `value` is a placeholder."""
        if len(value) >= _MIN_LENGTH and value not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[value] = f"<{kind} {self._counts[kind]}>"
            if kind == "code":
                self._names[value.lower()] = f"<{kind} {self._counts[kind]} in small letters>"

    def learn_from(self, text: str) -> None:
        """Learn what is in the JSON that a body or a frame holds, if it holds any."""
        start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
        if start < 0:
            return
        try:
            self._walk(json.loads(text[start:]))
        except ValueError:
            return

    def _walk(self, value: Any) -> None:
        if isinstance(value, list):
            for part in value:
                self._walk(part)
        elif isinstance(value, dict):
            if "joinedAt" in value:
                self.learn("participant", value["id"])
            for key, part in value.items():
                if isinstance(part, str) and key in _KINDS:
                    self.learn(_KINDS[key], part)
                else:
                    self._walk(part)

    async def connection(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that is closed with the recording."""
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        """Close what is open."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    # HTTP

    async def ask(
        self, port: int, method: str, target: str, body: Any = None, *, token: str | None = None, **fields: str
    ) -> Answer:
        """A request and its answer. `body` is JSON unless it is bytes; `fields` have `_` for `-`."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head: Fields = (("Host", f"{LOOPBACK}:{port}"),)
        if token is not None:
            head += (("Authorization", f"Bearer {token}"),)
        head += tuple((name.replace("_", "-"), value) for name, value in fields.items())
        if body is not None:
            head += (("Content-Type", "application/json"), ("Content-Length", str(len(content))))
        return await self.ask_raw(port, _request(method, target, head) + content, shown=_shown(content))

    async def unseen(self, port: int, method: str, target: str, **options: Any) -> Answer:
        """As `ask`, without writing anything down."""
        aside = Recording()
        try:
            return await aside.ask(port, method, target, **options)
        finally:
            await aside.close()

    async def ask_raw(self, port: int, request: bytes, *, shown: str = "") -> Answer:
        """A request as these bytes, on a connection of its own."""
        self._lines.append("")
        head, _, _ = request.partition(b"\r\n\r\n")
        for line, same in groupby(head.decode("latin-1").split("\r\n")):
            times = len(list(same))
            shown_line = line if len(line) < 400 else f"{line[:40]}… {len(line)} characters"
            self.write(">", shown_line if times == 1 else f"{shown_line} ({times} times)")
        if shown:
            self.write(">", shown)
        reader, writer = await self.connection(port)
        writer.write(request)
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            answer = await read_answer(reader, bodiless=request.startswith(b"HEAD "))
        self.write_answer(answer)
        return answer

    def write_handshake(self, request: str, answer: Answer) -> None:
        """Write a WebSocket's handshake down, unless one like it was."""
        shown = f"{request}\n{answer.first}\n" + "\n".join(
            f"{name}: {value}" for name, value in answer.fields if name.lower() != "date"
        )
        if shown in self._handshakes:
            return
        self._handshakes.add(shown)
        for line in request.split("\r\n"):
            self.write(">", line)
        self.write_answer(answer)

    def write_answer(self, answer: Answer) -> None:
        """Write an answer down."""
        self.write("<", answer.first)
        for name, value in answer.fields:
            if name.lower() in _SETS:
                value = ", ".join(sorted(value.split(", ")))
            self.write("<", f"{name}: {value}")
        text = answer.body.decode()
        self.learn_from(text)
        if text:
            self.write("<", text)


async def read_answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Answer:
    """Read an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    answer = Answer(head, b"")
    lengths = [value for name, value in answer.fields if name.lower() == "content-length"]
    if lengths and not bodiless and answer.status not in (101, 204, 304):
        answer.body = await reader.readexactly(int(lengths[0]))
    return answer


class WebSocket:
    """A Socket.IO client on a WebSocket, frame by frame."""

    def __init__(self, recording: Recording, name: str) -> None:
        self._recording = recording
        self._name = name
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        # By which a client asks for recovery.
        self.pid = ""

    async def open(self, port: int, target: str = "/socket.io/?EIO=4&transport=websocket", **fields: str) -> Answer:
        """Shake hands."""
        self._reader, self._writer = await self._recording.connection(port)
        head: Fields = (("Host", f"{LOOPBACK}:{port}"), *_UPGRADE)
        head += tuple((name.replace("_", "-"), value) for name, value in fields.items())
        request = _request("GET", target, head)
        self._writer.write(request)
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            answer = await read_answer(self._reader)
        self._recording.note(f"{self._name} opens a WebSocket")
        self._recording.write_handshake(request.decode().strip(), answer)
        return answer

    async def connect(self, port: int, auth: Any = None) -> Self:
        """Shake hands and connect the namespace."""
        await self.open(port)
        await self.get(1)
        self.send("40" + (json.dumps(auth) if auth is not None else ""))
        (connected,) = await self.get(1)
        self.pid = json.loads(connected[2:])["pid"]
        return self

    def send(self, packet: str) -> None:
        """Send a text frame."""
        self._recording.write(f"{self._name} >", packet if len(packet) < 2000 else f"{packet[:40]}… {len(packet)}")
        self.send_frame(0x81, packet.encode())

    def send_frame(self, first: int, payload: bytes) -> None:
        """Send a frame with this first byte; masked by zeros, which RFC 6455 allows."""
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size <= 0xFFFF:
            length = b"\xfe" + struct.pack("!H", size)
        else:
            length = b"\xff" + struct.pack("!Q", size)
        self._writer.write(bytes([first]) + length + bytes(4) + payload)

    async def get(self, count: int, *, acks_first: bool = True) -> list[str]:
        """Return the next frames.

        An ack and an update that it causes arrive in any order. The ack is written first, or with ``acks_first=False``
        the update last, which keeps the order of the ack and other events.
        """
        frames: list[str] = []
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while len(frames) < count:
                    frames.append(await self._frame())
        except TimeoutError as error:
            raise AssertionError(f"{self._name} got {frames}, which is not {count}") from error
        if acks_first:
            frames.sort(key=lambda frame: not frame.startswith("43"))
        else:
            frames.sort(key=lambda frame: frame.startswith(('42["session-update"', '42["session-patch"')))
        for frame in frames:
            self._recording.learn_from(frame)
            self._recording.write(f"{self._name} <", frame)
        return frames

    async def left(self) -> None:
        """Read the ack of leaving. An update before it, of what others changed just then, is not recorded."""
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while (frame := await self._frame()).startswith('42["session-update"'):
                pass
        self._recording.write(f"{self._name} <", frame)

    async def ended(self) -> None:
        """Read to the end of the connection, which the service closes."""
        with_close = False
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            try:
                while not with_close:
                    frame = await self._frame()
                    self._recording.write(f"{self._name} <", frame)
                    with_close = frame.startswith("(close")
            except (asyncio.IncompleteReadError, ConnectionError):
                self._recording.write(f"{self._name} <", "(end of the connection)")
        self._writer.close()

    def drop(self) -> None:
        """Lose the connection without a goodbye."""
        self._recording.note(f"{self._name} loses its connection")
        self._writer.transport.abort()

    async def _frame(self) -> str:
        first, size = await self._reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
        payload = await self._reader.readexactly(size)
        if first == 0x88:
            # The reason is a text for people; that of a message that is too large depends on who parses frames.
            return f"(close {int.from_bytes(payload[:2], 'big')})"
        return payload.decode() if first == 0x81 else f"(frame {first:#x} {base64.b64encode(payload).decode()})"


class Polling:
    """A Socket.IO client that polls. Which packets come with which poll may differ, so they are written one by one."""

    def __init__(self, recording: Recording, name: str, port: int) -> None:
        self.recording = recording
        self.target = "/socket.io/?EIO=4&transport=polling"
        self._name = name
        self._port = port
        self._waiting: list[str] = []
        self._seen: list[tuple[str, list[tuple[str, str]]]] = []

    async def connect(self, auth: Any = None) -> Self:
        """Open a connection and connect the namespace."""
        self.recording.note(f"{self._name} opens long-polling")
        await self.get(1)
        await self.send("40" + (json.dumps(auth) if auth is not None else ""))
        await self.get(1)
        return self

    async def send(self, *packets: str) -> None:
        """POST these packets."""
        body = "\x1e".join(packets).encode()
        self.recording.write(f"{self._name} >", " ␞ ".join(packets))
        await self._ask("POST", body)

    async def get(self, count: int) -> list[str]:
        """Poll until so many packets have come."""
        while len(self._waiting) < count:
            answer = await self._ask("GET")
            self._waiting += answer.body.decode().split("\x1e")
        got, self._waiting = self._waiting[:count], self._waiting[count:]
        got.sort(key=lambda packet: not packet.startswith("43"))
        for packet in got:
            if packet.startswith("0{"):
                self.target += f"&sid={json.loads(packet[1:])['sid']}"
            self.recording.learn_from(packet)
            self.recording.write(f"{self._name} <", packet)
        return got

    async def _ask(self, method: str, body: bytes | None = None) -> Answer:
        """A request, of whose answers the heads are written down where they differ from those before."""
        head: Fields = (("Host", f"{LOOPBACK}:{self._port}"),)
        if body is not None:
            head += (("Content-Type", "text/plain;charset=UTF-8"), ("Content-Length", str(len(body))))
        reader, writer = await self.recording.connection(self._port)
        writer.write(_request(method, self.target, head) + (body or b""))
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            answer = await read_answer(reader)
        fields = [field for field in answer.fields if field[0].lower() not in ("content-length", "date")]
        if (method, fields) not in self._seen:
            self._seen.append((method, fields))
            self.recording.write("<", f"{method} answered {answer.first}")
            for name, value in fields:
                self.recording.write("<", f"{name}: {value}")
            if method == "POST":
                self.recording.write("<", answer.body.decode())
        return answer


def _request(method: str, target: str, fields: Fields) -> bytes:
    return "\r\n".join(
        [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    ).encode()


def _shown(body: bytes) -> str:
    return body.decode("latin-1") if len(body) < 1000 else f"{body[:40].decode()}… {len(body)} bytes"
