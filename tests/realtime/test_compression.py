"""Updates are compressed for clients that accept it, and nothing that has a token."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from app.compression import MIN_SIZE
from app.socketio_server.websocket_frames import inflated
from tests.harness.frames import COMPRESSED, EXTENSION, FrameClient, frame_client
from tests.harness.here import served_here
from tests.harness.people import Api, movie
from tests.harness.ports import LOOPBACK
from tests.harness.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOVIES = [movie("m" * 50 + str(number)) for number in range(20)]
SECRETS = ('"pid"', "oken")


class Message(NamedTuple):
    is_compressed: bool
    text: str


class Socket:
    """A Socket.IO client that notes which messages were compressed."""

    def __init__(self, client: FrameClient) -> None:
        self._client = client
        self._asked = 0
        self.seen: list[Message] = []

    async def ask(self, event: str, payload: object) -> None:
        """Send an event and wait for its ack."""
        self._asked += 1
        await self.send(f"42{self._asked}{json.dumps([event, payload])}", answer=f"43{self._asked}[")

    async def send(self, packet: str, *, answer: str) -> None:
        await self._client.send(packet.encode())
        await self.until(answer)

    async def until(self, prefix: str) -> None:
        """Read until there was a message that begins like this."""
        while not any(message.text.startswith(prefix) for message in self.seen):
            first, payload = await self._client.frame()
            is_compressed = bool(first & COMPRESSED)
            text = inflated(payload, 1 << 20) if is_compressed else payload
            self.seen.append(Message(is_compressed, text.decode()))


async def test_updates_are_compressed_and_tokens_never() -> None:
    seen = await story(EXTENSION, compression=True)
    compressed = [message.text for message in seen if message.is_compressed]
    assert compressed
    assert all(text.startswith('42["session-update"') for text in compressed)
    assert not any(secret in text for text in compressed for secret in SECRETS)
    # One's own ratings make the second answer a large one.
    assert any("token" in text and len(text) > MIN_SIZE for _, text in seen)


@pytest.mark.parametrize(
    ("field", "compression"), [("", True), (EXTENSION, False)], ids=["not offered", "switched off"]
)
async def test_else_nothing_is_compressed(field: str, compression: bool) -> None:
    seen = await story(field, compression=compression)
    assert not any(message.is_compressed for message in seen)


async def story(field: str, *, compression: bool) -> list[Message]:
    """Join a session as the host, rate everything and join again; return what the client got."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        settings = {"compression": compression, "direct_websockets": True}
        (replica,) = await stack.enter_async_context(served_here(redis.url(), **settings))
        api = Api([replica])
        stack.push_async_callback(api.close)
        made = await api.create(movies=MOVIES)
        address, target = f"{LOOPBACK}:{replica.port}", "/socket.io/?EIO=4&transport=websocket"
        socket = Socket(await stack.enter_async_context(frame_client(address, target, field)))
        await socket.send("40", answer="40{")
        join = {"sessionID": made.code, "token": made.host_token}
        await socket.ask("join-session", join)
        for one in MOVIES:
            await socket.ask("vote", {"movieID": one["id"], "rating": 5})
        await socket.until('42["session-update"')
        await socket.ask("join-session", join)
        await socket.ask("rotate-host-token", {})
        return socket.seen
