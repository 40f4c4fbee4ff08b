"""Another application of ten lines: `SocketServer` alone under uvicorn, and a stock client of it."""

from __future__ import annotations

from typing import Any

from app.socketio_server import SocketServer
from tests.harness.node import node_clients

from .harness import serving


def chat() -> SocketServer:
    server = SocketServer()

    @server.event  # type: ignore[untyped-decorator]
    async def say(sid: str, text: str) -> str:
        await server.enter_room(sid, "chat")
        await server.emit("said", text, room="chat", skip_sid=sid)
        return text.upper()

    @server.event  # type: ignore[untyped-decorator]
    async def leave(sid: str) -> None:
        await server.disconnect(sid)

    return server


async def test_an_application_of_ten_lines_acknowledges_emits_to_a_room_and_disconnects() -> None:
    async with serving(chat()) as address, node_clients(documented=False) as node:
        ann, bob = [await node.connect(f"http://{address}") for _ in range(2)]
        assert await ann.emit("say", "hello", ack=True) == "HELLO"
        assert await bob.emit("say", "hi", ack=True) == "HI"
        heard: Any = await ann.next("said")
        assert heard.data == "hi"
        assert bob.named("said") == []
        await bob.emit("leave")
        assert (await bob.next("disconnect")).data == "io server disconnect"
