"""HTTP clients that do not read the response."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Self

from tests.harness.here import Here
from tests.harness.people import Api
from tests.harness.ports import LOOPBACK

__all__ = ["Unread", "large"]


async def large(replica: Here) -> str:
    """Create a session with more state than the kernel buffers for such a client; return its path."""
    api = Api([replica])
    made = await api.create(movies=[{"id": f"m{n}", "title": "x", "overview": "y" * 900} for n in range(250)])
    movies = [{"id": f"n{number}", "title": "x", "overview": "y" * 900} for number in range(200)]
    answer = await api.call("POST", f"{made.path}/movies", token=made.host_token, json={"movies": movies})
    assert answer.status_code == 200, answer.text
    await api.close()
    return made.path


class Unread:
    """A client that sends a request and does not read."""

    def __init__(self, port: int, path: str, source: str = LOOPBACK) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.bind((source, 0))
        self._socket.connect((LOOPBACK, port))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    async def aborted(self, timeout: float = 10) -> bool:
        """Wait until the server has aborted the connection."""
        poll = select.poll()
        poll.register(self._socket, select.POLLHUP | select.POLLERR)
        return bool(await asyncio.to_thread(poll.poll, timeout * 1000))
