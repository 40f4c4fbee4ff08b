"""The WebSocket protocol against the cases of the Autobahn test suite, all that need no extension.

https://github.com/crossbario/autobahn-testsuite, run by https://github.com/curioswitch/kosoku.
"""

from __future__ import annotations

import asyncio

import kosoku
import pytest

from app.socketio_server import Encoded, WebSocketProtocol
from app.socketio_server.interfaces import WebSocket

from .harness import serve

LARGEST = 32 << 20
GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
# Messages of 4 MiB in more than 1,024 fragments, which are refused.
TOO_MANY_FRAGMENTS = ("9.3.1", "9.3.2", "9.3.3", "9.4.1", "9.4.2", "9.4.3")


class Echo:
    """Sends back what it receives."""

    def opened(self, websocket: WebSocket) -> None:
        self.websocket = websocket

    def received(self, message: str | bytes) -> bool:
        self.websocket.write(Encoded(message))
        return True

    def failed(self, code: int) -> None:
        return

    def lost(self) -> None:
        return


def echo(_scope: object) -> WebSocketProtocol:
    return WebSocketProtocol(Echo(), LARGEST)


async def no_application(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("a WebSocket was left to ASGI")


@pytest.mark.slow
async def test_the_websocket_protocol_passes_the_cases_of_autobahn() -> None:
    async with serve(no_application, path="/", take_over=echo) as address, asyncio.timeout(300):
        # Raises an error that names every case that does not pass.
        results = await kosoku.run_fuzzingclient(f"ws://{address}", list(GROUPS), list(TOO_MANY_FRAGMENTS), 2)
    assert len(results) == 295
