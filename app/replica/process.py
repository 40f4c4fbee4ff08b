"""The life of the process: serve until a signal, then drain."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from app.replica.collector import tune_collector
from app.replica.replica import run_replica
from app.settings import Settings

__all__ = ["serve"]

_logger = logging.getLogger(__name__)


async def serve(settings: Settings, welcome: Callable[[int, str], Awaitable[None]] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the drain. Return the exit code.

    ``welcome`` is called with the public port and the code of a sample session.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with run_replica(settings) as replica:
        tune_collector()
        if welcome is not None:
            await welcome(replica.public.port, await replica.first_session())
        await stopping.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, replica.stop_now)
        _logger.info(
            "stopping; clients are sent to the other replicas", extra={"clients": replica.sockets.server.open_count}
        )
    _logger.info("stopped")
    return 0
