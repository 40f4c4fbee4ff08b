"""The upgrade of a session from long-polling to a WebSocket.

https://github.com/socketio/engine.io-protocol#upgrade
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from app.socketio_server import frames
from app.socketio_server.connection import Connection
from app.socketio_server.endings import NORMAL
from app.socketio_server.interfaces import WebSocket

__all__ = ["Probe"]

# Seconds that a poll waits for an upgrade packet that was sent before it, in two halves.
_UPGRADE_WAIT_SECONDS: Final = 0.005
# Seconds that the WebSocket of a session that has ended waits for it.
_LAST_PACKET_SECONDS: Final = 2


class Probe:
    """Receives the WebSocket's messages until it becomes the session's transport or is given up.

    ``timeout``: seconds for the client to upgrade. ``upgraded`` is called when it has.
    """

    def __init__(self, session: Connection, timeout: float, upgraded: Callable[[], None]) -> None:
        self.is_answered = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._session = session
        self._timeout = timeout
        self._upgraded = upgraded
        self._websocket: WebSocket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, websocket: WebSocket) -> None:
        session = self._session
        self._websocket = websocket
        if session.closed or session.upgraded or session.upgrade is not None:
            self._ended.set_result(None)
            websocket.close(NORMAL)
            return
        session.upgrade = self
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self.give_up)

    def received(self, message: str | bytes) -> bool:
        if self._ended.done() or self._websocket is None:
            return True
        if not self.is_answered and message == "2probe":
            self.is_answered = True
            self._websocket.write(frames.PROBE_ANSWER)
            self._session.wake_poll()
        elif self.is_answered and message == "5" and not self._session.closed:
            self._end()
            self._websocket.receiver = self._session
            self._session.attach(self._websocket)
            self._upgraded()
        else:
            self.give_up(self._session.code)
        return True

    def failed(self, code: int) -> None:
        self.give_up(code)

    def lost(self) -> None:
        if self._websocket is not None:
            self.give_up()
            self._websocket = None

    def give_up(self, code: int = NORMAL) -> None:
        """Close the WebSocket; the session continues with polling."""
        if not self._ended.done() and self._websocket is not None:
            self._end()
            self._websocket.close(code)

    def session_closed(self, code: int) -> None:
        """Close the WebSocket, if the probe was answered not before the client's next packet.

        Stock clients that lose the WebSocket between the two neither poll nor send until a heartbeat is missed.
        """
        if not self.is_answered:
            self.give_up(code)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(_LAST_PACKET_SECONDS, self.give_up, code)

    async def settled(self) -> None:
        """Wait a moment for the upgrade packet of a client whose probe was answered.

        A poll that the client sends after that packet may arrive first, over another connection. Before the probe is
        answered nothing waits: stock clients upgrade only after their requests were answered. The wait has two parts,
        because after a suspension of the process timers run before received data is read.
        """
        for _ in range(2):
            if self.is_answered and not self._ended.done():
                await asyncio.wait({self._ended}, timeout=_UPGRADE_WAIT_SECONDS)

    def _end(self) -> None:
        self._ended.set_result(None)
        self._session.upgrade = None
        if self._timer is not None:
            self._timer.cancel()
