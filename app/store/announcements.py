"""Changes of sessions, as the replicas announce them to each other: one sharded channel a session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from app.sessions.model import Head
from app.store import keys
from app.store.channels import Channels
from app.store.connection import Connection
from app.store.sessions import answering

__all__ = ["Announcements"]

_logger = logging.getLogger(__name__)


class Announcements:
    """Hears of changes of sessions by their codes.

    ``on_change`` gets the code, the head announced, None when the session has ended, and the W3C ``traceparent`` of
    whoever has changed it, or ""; ``on_gap`` the codes of which announcements may have been missed. An announcement is
    a hint: the truth is in the session.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_change: Callable[[str, Head | None, str], None],
        on_gap: Callable[[Iterable[str] | None], None],
        timeout: float,
    ) -> None:
        self._on_change = on_change
        self._on_gap = on_gap
        self._timeout = timeout
        self._channels = Channels(connection, on_message=self._heard, on_gap=self._missed)

    @property
    def healthy(self) -> bool:
        """Whether no subscription is lost at the moment."""
        return self._channels.healthy

    async def start(self) -> None:
        await self._channels.start()

    async def close(self) -> None:
        await self._channels.close()

    async def subscribe(self, code: str) -> None:
        """Returns once every change committed from now on will be heard of."""
        with answering(changing=False):
            await self._channels.subscribe(keys.channel(code), self._timeout)

    async def unsubscribe(self, code: str) -> None:
        with answering(changing=False):
            await self._channels.unsubscribe(keys.channel(code))

    def _heard(self, channel: str, message: bytes) -> None:
        announced, _, trace = message.decode().partition(" ")
        if announced == "ended":
            self._on_change(keys.code_of(channel), None, trace)
            return
        try:
            self._on_change(keys.code_of(channel), Head.parse(announced), trace)
        except ValueError:
            _logger.warning("not an announcement", extra={"bytes": len(message)})

    def _missed(self, channels: Iterable[str] | None) -> None:
        self._on_gap(None if channels is None else [keys.code_of(channel) for channel in channels])
