"""A Socket.IO client over WebSocket: version 5 of its protocol, on version 4 of Engine.IO, namespace ``/``, text only.

https://github.com/socketio/socket.io-protocol and https://github.com/socketio/engine.io-protocol.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from app.http_client import reason_of

__all__ = ["Socket", "parse_event"]

_OPEN_TIMEOUT_SECONDS: Final = 20.0
_CLOSE_TIMEOUT_SECONDS: Final = 2.0
_MAX_FRAME_BYTES: Final = 1 << 24


def parse_event(packet: bytes) -> list[Any]:
    """Return an event packet's name and arguments; raises ValueError for any other packet."""
    event = orjson.loads(packet[2:])
    if not isinstance(event, list) or not event or not isinstance(event[0], str):
        raise ValueError("not an event")
    return event


class Socket:
    """A connected socket.

    ``on_event`` is called with the unparsed packet of every event. Most clients of a session get identical packets,
    which need be parsed only once. A ValueError that it raises ends the connection. ``welcome`` is the payload of the
    server's CONNECT packet. ``closed`` is set when the connection has ended.
    """

    def __init__(
        self,
        connection: ClientConnection,
        silence_timeout: float,
        welcome: dict[str, Any],
        on_event: Callable[[bytes], None],
    ) -> None:
        self.welcome = welcome
        self.closed = asyncio.Event()
        self._connection = connection
        self._silence_timeout = silence_timeout
        self._on_event = on_event
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, on_event: Callable[[bytes], None], auth: dict[str, Any] | None = None) -> Self:
        """Connect to the service at ``url`` as ``io(url, {transports: ["websocket"], auth})`` does.

        Raises ConnectionError with a readable reason.
        """
        address = url.replace("http", "ws", 1).rstrip("/") + "/socket.io/?EIO=4&transport=websocket"
        try:
            connection = await connect(
                address,
                compression=None,
                ping_interval=None,
                proxy=None,
                open_timeout=_OPEN_TIMEOUT_SECONDS,
                close_timeout=_CLOSE_TIMEOUT_SECONDS,
                max_size=_MAX_FRAME_BYTES,
                user_agent_header=None,
            )
        except InvalidStatus as error:
            raise ConnectionError(f"refused with HTTP status {error.response.status_code}") from error
        except (OSError, WebSocketException) as error:
            raise ConnectionError(reason_of(error)) from error
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_SECONDS):
                opened = _object(b"0", await connection.recv(decode=False))
                await connection.send("40" + (orjson.dumps(auth).decode() if auth else ""))
                welcome = _object(b"40", await connection.recv(decode=False))
            silence_timeout = (opened["pingInterval"] + opened["pingTimeout"]) / 1000
        except BaseException as error:
            await connection.close()
            if isinstance(error, (OSError, WebSocketException, ValueError, KeyError, TypeError)):
                raise ConnectionError("the server does not speak Socket.IO, or refused") from error
            raise
        return cls(connection, silence_timeout, welcome, on_event)

    async def emit(self, event: str, *args: Any, timeout: float) -> Any:
        """Emit an event; return the first argument of its ack.

        Raises ConnectionError if the connection ends before the ack, TimeoutError if no ack arrives.
        """
        number = next(self._numbers)
        answer = self._acks[number] = asyncio.get_running_loop().create_future()
        try:
            if self.closed.is_set():
                raise ConnectionError("the connection is closed")
            async with asyncio.timeout(timeout):
                await self._connection.send(f"42{number}{orjson.dumps([event, *args]).decode()}")
                return await answer
        except WebSocketException as error:
            raise ConnectionError("the connection ended before the ack") from error
        finally:
            del self._acks[number]

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        await self._connection.close()
        await self._reader

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            # The server sends pings. One that is silent for longer than announced is gone.
            async with asyncio.timeout(self._silence_timeout) as limit:
                while True:
                    packet = await self._connection.recv(decode=False)
                    if packet == b"2":
                        limit.reschedule(clock() + self._silence_timeout)
                        await self._connection.send("3")
                    elif packet.startswith(b"42"):
                        self._on_event(packet)
                    elif packet.startswith(b"43"):
                        self._acknowledged(packet)
                    elif packet.startswith((b"41", b"1")):
                        break
        except (WebSocketException, TimeoutError, ValueError):
            pass
        finally:
            self.closed.set()
            for answer in self._acks.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the connection ended before the ack"))
                    answer.exception()  # Retrieved, in case nothing awaits this ack any more.
            await self._connection.close()

    def _acknowledged(self, packet: bytes) -> None:
        number, bracket, args = packet[2:].partition(b"[")
        answer = self._acks.get(int(number))
        if answer is not None and not answer.done():
            given = orjson.loads(bracket + args)
            answer.set_result(given[0] if given else None)


def _object(kind: bytes, packet: bytes) -> dict[str, Any]:
    if not packet.startswith(kind):
        raise ValueError("another packet")
    told = orjson.loads(packet[len(kind) :] or b"{}")
    if not isinstance(told, dict):
        raise ValueError("not an object")
    return told
