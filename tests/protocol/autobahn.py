"""The cases of the Autobahn test suite against our WebSocket protocol; `python -m tests.protocol.autobahn` runs all.

https://github.com/crossbario/autobahn-testsuite, run by https://github.com/curioswitch/kosoku.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from unittest.mock import patch

import kosoku

from app.socketio_server import Encoded, WebSocketProtocol, frames
from app.socketio_server.admission import header
from app.socketio_server.extensions import accept_deflate
from app.socketio_server.interfaces import Scope, WebSocket

from .harness import serve

__all__ = ["COMPRESSION", "PROTOCOL", "SMALL_WINDOWS", "TOO_MANY_FRAGMENTS", "passed"]

PROTOCOL = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
# Messages of 4 MiB in more than 1,024 fragments, which are refused.
TOO_MANY_FRAGMENTS = ("9.3.1", "9.3.2", "9.3.3", "9.4.1", "9.4.2", "9.4.3")
COMPRESSION = ("12.*", "13.*")
# Offers that ask for smaller windows of the server only, which are passed over.
SMALL_WINDOWS = ("13.3.*", "13.5.*")

_LARGEST = 32 << 20


class _Echo:
    """Sends back what it receives."""

    def opened(self, websocket: WebSocket) -> None:
        self.websocket = websocket

    def received(self, message: str | bytes) -> bool:
        self.websocket.write(Encoded(message, compress=True))
        return True

    def failed(self, code: int) -> None:
        return

    def lost(self) -> None:
        return


def _echo(scope: Scope) -> WebSocketProtocol:
    return WebSocketProtocol(_Echo(), _LARGEST, accept_deflate(header(scope, b"sec-websocket-extensions") or ""))


async def _no_application(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("a WebSocket was left to ASGI")


async def passed(cases: Sequence[str], without: Sequence[str] = ()) -> int:
    """Run cases; return how many there were. Raises an error that names every case that does not pass."""
    # The runner cannot handle plain texts where compression was negotiated.
    with patch.object(frames, "MIN_MESSAGE", 0):
        async with serve(_no_application, path="/", take_over=_echo) as address:
            return len(await kosoku.run_fuzzingclient(f"ws://{address}", list(cases), list(without), 2))


async def _main() -> None:
    cases = await passed((*PROTOCOL, *COMPRESSION), (*TOO_MANY_FRAGMENTS, *SMALL_WINDOWS))
    unimplemented = 0
    try:
        cases += await passed(SMALL_WINDOWS)
    except kosoku.FailureError as error:
        unimplemented = len(error.results)
        if any(case.behavior.value != "UNIMPLEMENTED" for case in error.results):
            raise
    sys.stdout.write(f"{cases} cases passed, {unimplemented} ask for smaller windows only\n")


if __name__ == "__main__":
    asyncio.run(_main())
