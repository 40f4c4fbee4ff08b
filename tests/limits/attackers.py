"""Hostile clients at fixed rates, one for each way in which a single client once took a replica or Redis down.

They write prepared bytes to sockets, so that they cost the machine less than what they attack. Each has a source
address of its own, as budgets and caps are counted for addresses. Nothing here is kept waiting by an answer that does
not come, and no attacker holds more than `HELD` connections.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["ATTACKS", "Attack", "Attacker", "Target"]

HELD: Final = 1_500
_ANSWER_TIMEOUT: Final = 10.0
_AT_ONCE: Final = 200
_UPGRADE: Final = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: attacked\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# A quarter of a mebibyte, just below the limit of a body with movies.
_LARGE: Final = 262_000


@dataclass(frozen=True, slots=True)
class Session:
    """A session of an attacker; `etag` is that of its first version."""

    code: str
    host_token: str
    etag: str


@dataclass(slots=True)
class Target:
    """What an attack is aimed at: the replicas' public ports, and the attacker's own session there."""

    ports: Sequence[int]
    source: str
    session: Session
    numbers: Iterator[int] = field(default_factory=itertools.count)
    held: deque[asyncio.StreamWriter] = field(default_factory=deque)

    def port(self, number: int) -> int:
        return self.ports[number % len(self.ports)]

    def hold(self, writer: asyncio.StreamWriter) -> None:
        """Keeps a connection open; the oldest gives way once there are too many."""
        self.held.append(writer)
        if len(self.held) > HELD:
            _abort(self.held.popleft())


@dataclass(frozen=True, slots=True)
class Attack:
    """`rate`: actions a second. `broke`: what it did to the service that had no bound against it."""

    name: str
    rate: float
    broke: str
    act: Callable[[Target, int], Awaitable[None]]
    movies: int = 1


class Attacker:
    """Carries out one attack at its rate, however slowly the service answers: `prepare`, then `run` until cancelled."""

    def __init__(self, attack: Attack, ports: Sequence[int], source: str) -> None:
        self.attack = attack
        self.acts = 0
        self._ports = ports
        self._source = source
        self._target: Target | None = None

    async def prepare(self) -> None:
        """Makes the attacker's own session, as anybody may."""
        session = await _own_session(self._ports[0], self._source, self.attack.movies)
        self._target = Target(self._ports, self._source, session)

    async def run(self) -> None:
        target = self._target
        assert target is not None
        clock, pause = asyncio.get_running_loop().time, 1 / self.attack.rate
        under_way: set[asyncio.Task[None]] = set()
        due = clock()
        try:
            while True:
                due += pause
                await asyncio.sleep(max(0.0, due - clock()))
                if len(under_way) < _AT_ONCE:
                    self.acts += 1
                    task = asyncio.create_task(self._act(target))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            for writer in target.held:
                _abort(writer)

    async def _act(self, target: Target) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                await self.attack.act(target, next(target.numbers))


async def _combining_marks(target: Target, number: int) -> None:
    """Text that is expensive to normalise, from somebody without any right in the session."""
    title = "e" + "\u0301\u0323" * (_LARGE // 4)
    body = json.dumps({"title": title[: _LARGE // 2]}, ensure_ascii=False).encode()
    await _request(target, number, "POST", "/api/session/create", body)


async def _large_heads(target: Target, number: int) -> None:
    """A handshake with eight thousand header fields, and nothing after it."""
    fields = "".join(f"a{index}: b\r\n" for index in range(8_000))
    head = f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: attacked\r\n{fields}\r\n"
    _, writer = await _connect(target, number)
    writer.write(head.encode())
    target.hold(writer)


async def _unread_answers(target: Target, number: int) -> None:
    """Requests for a large session, pipelined, whose answers are never read."""
    _, writer = await _connect(target, number)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(_head("GET", f"/api/session/{target.session.code}") * 8)
    target.hold(writer)


async def _connect_and_join(target: Target, number: int) -> None:
    """One participant connects and joins again and again, and is gone each time without a word."""
    _abort(await _joined(target, number))


async def _large_sessions(target: Target, number: int) -> None:
    """Sessions full of movies that nobody will join."""
    body = json.dumps({"movies": _movies(120), "title": f"Session {number}"}).encode()
    await _request(target, number, "POST", "/api/session/create", body)


async def _idempotency_keys(target: Target, number: int) -> None:
    """Changes under keys that are never used again."""
    body = json.dumps({"title": f"Title {number}"}).encode()
    fields = (f"Authorization: Bearer {target.session.host_token}", f"Idempotency-Key: key-{number}")
    await _request(target, number, "PATCH", f"/api/session/{target.session.code}", body, *fields)


async def _short_lifetimes(target: Target, number: int) -> None:
    """A socket in a session that is to end in a millisecond, so that its presence has to be noted all the time."""
    body = json.dumps({"ttlSeconds": 0.001}).encode()
    fields = (f"Authorization: Bearer {target.session.host_token}",)
    await _request(target, number, "PATCH", f"/api/session/{target.session.code}", body, *fields)
    if len(target.held) < 300:
        target.hold(await _joined(target, number))


async def _slow_readers(target: Target, number: int) -> None:
    """Members who never read what they are sent, of a large session that changes."""
    if len(target.held) < 100:
        writer = await _joined(target, number)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        target.hold(writer)
    body = json.dumps({"title": f"Title {number}"}).encode()
    fields = (f"Authorization: Bearer {target.session.host_token}",)
    await _request(target, number, "PATCH", f"/api/session/{target.session.code}", body, *fields)


async def _foreign_polls(target: Target, number: int) -> None:
    """The beginning of a large body for a connection that another replica is said to have."""
    _, writer = await _connect(target, number)
    path = f"/socket.io/?EIO=4&transport=polling&sid={'0123456789ab'}.{number:020d}"
    writer.write(_head("POST", path, f"Content-Length: {_LARGE}") + b"4" * (_LARGE // 2))
    target.hold(writer)


async def _large_reads(target: Target, number: int) -> None:
    """Reads a large session again and again, every second time with its ETag."""
    fields = (f"If-None-Match: {target.session.etag}",) if number % 2 else ()
    await _request(target, number, "GET", f"/api/session/{target.session.code}", b"", *fields)


# In three minutes each comes to at least the number that was too much.
ATTACKS: Final = (
    Attack("combining marks", 2, "0.3 MiB/s held the event loop for 3 s", _combining_marks),
    Attack("large heads", 7, "400 idle handshakes took the 512 MiB of a replica", _large_heads),
    Attack("unread answers", 2, "150 answers took 107 MiB", _unread_answers, movies=120),
    Attack("connect and join", 75, "13,000 records of one client", _connect_and_join),
    Attack("large sessions", 2, "Redis was full in five minutes", _large_sessions),
    Attack("idempotency keys", 115, "20,000 keys ended all changes of a session", _idempotency_keys),
    Attack("short lifetimes", 5, "300 sockets caused 160,000 commands a second", _short_lifetimes),
    Attack("slow readers", 2, "a slow client held eight times what was counted", _slow_readers, movies=120),
    Attack("foreign polls", 10, "bodies for other replicas had no limit of time or number", _foreign_polls),
    Attack("large reads", 20, "a read took 4 to 7 ms of the core, a 304 as well", _large_reads, movies=120),
)


async def _own_session(port: int, source: str, movies: int) -> Session:
    body = json.dumps({"movies": _movies(movies), "title": "Attacked"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        head = _head("POST", "/api/session/create", f"Content-Length: {len(body)}", "Connection: close")
        writer.write(head + body)
        answer = await reader.read()
    finally:
        _abort(writer)
    status, _, content = answer.partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 201"), answer
    created: dict[str, Any] = json.loads(content)
    etag = next(line for line in status.decode().split("\r\n") if line.lower().startswith("etag:"))
    return Session(created["sessionID"], created["hostToken"], etag.partition(": ")[2])


def _movies(count: int) -> list[dict[str, str]]:
    """Movies of about two kilobytes each."""
    return [
        {"id": f"m{index}", "title": "x", "overview": "y" * 1_000, "posterUrl": f"https://example.com/{'z' * 900}"}
        for index in range(count)
    ]


async def _joined(target: Target, number: int) -> asyncio.StreamWriter:
    reader, writer = await _connect(target, number)
    join = json.dumps(["join-session", target.session.code, {"token": target.session.host_token}])
    try:
        writer.write(_UPGRADE.encode() + _frame("40") + _frame(f"420{join}"))
        await reader.readuntil(b"430[")
    except BaseException:
        _abort(writer)
        raise
    return writer


async def _connect(target: Target, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", target.port(number), local_addr=(target.source, 0), limit=16 * _LARGE
    )


async def _request(target: Target, number: int, method: str, path: str, body: bytes, *fields: str) -> None:
    reader, writer = await _connect(target, number)
    try:
        writer.write(_head(method, path, f"Content-Length: {len(body)}", "Connection: close", *fields) + body)
        while await reader.read(65_536):
            pass
    finally:
        _abort(writer)


def _head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: attacked", *fields, "", ""]).encode()


def _frame(text: str) -> bytes:
    """A text frame of a WebSocket client, masked with zeros (RFC 6455, section 5.2); up to 64 KiB."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
