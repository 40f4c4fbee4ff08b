"""Chooses the server for a command. This module has the topology of a single server."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from app.redis_client.errors import Redirected, StoreError, StoreUnavailable
from app.redis_client.link import Link, Pushed, open_link, pack
from app.redis_client.logins import Logins
from app.redis_client.reply import Reply
from app.redis_client.url import Address, Login

__all__ = ["SHARE_OF_TIMEOUT", "Node", "Single", "Topology", "ask", "end"]

_logger = logging.getLogger(__name__)

# The part of the time-out that one sentinel or node gets, so that there is time to ask others.
SHARE_OF_TIMEOUT: Final = 3


class Topology(Protocol):
    """Finds the link to the server that is responsible for a key or a channel.

    ``by_key``: whether keys may have different links. ``logins``: the URL and its logins.
    """

    by_key: bool
    logins: Logins

    def ready(self, key: bytes) -> Link | None:
        """Return the open link for a key, or None."""

    async def link(self, key: bytes, redirect: Redirected | None = None) -> Link:
        """Return the link for a key, opening it if needed; raises StoreUnavailable, never with ``sent``."""

    def on_error(self, error: StoreUnavailable) -> None:
        """Update the topology after a failed command."""

    async def node_for(self, channel: bytes, *, fresh: bool) -> Address:
        """Return the server of a sharded channel. ``fresh``: do not use cached information."""

    async def dial(self, node: Address, on_push: Pushed) -> Link:
        """Open a new link, which the caller closes; raises StoreUnavailable."""

    async def close(self) -> None:
        """Close all links except those opened by ``dial``."""


class Node:
    """The shared link to one server. It is opened when first needed and again after a loss, one attempt at a time."""

    def __init__(self, name: str, dial: Callable[[], Awaitable[Link]]) -> None:
        self._name = name
        self._dial = dial
        self._links: list[Link] = []
        self._dialling: asyncio.Task[Link] | None = None
        self._unavailable = False

    @property
    def ready(self) -> Link | None:
        return self._links[-1] if self._links and self._links[-1].usable else None

    @property
    def closed(self) -> bool:
        """Whether all links are closed, lingering ones included."""
        return all(link.closed for link in self._links)

    async def link(self) -> Link:
        if self.ready is not None:
            return self.ready
        if self._dialling is None:
            # In a new context: the link outlives the request that happens to open it.
            self._dialling = asyncio.get_running_loop().create_task(self._open(), context=contextvars.Context())
            self._dialling.add_done_callback(self._opened)
        dialling = self._dialling
        await asyncio.wait((dialling,))
        if dialling.cancelled():
            raise StoreUnavailable("closed", sent=False)
        error = dialling.exception()
        if isinstance(error, StoreUnavailable):
            # A new exception for each waiting caller: an exception collects the traceback of everyone who raises it.
            raise StoreUnavailable(error.reason, error.detail, sent=False)
        return dialling.result()

    def retire(self) -> None:
        for link in self._links:
            link.retire()

    async def close(self) -> None:
        await end(self._dialling)
        for link in self._links:
            link.on_lost = None
            link.abort()
        # Pending calls fail in the next turn of the event loop.
        await asyncio.sleep(0)

    async def _open(self) -> Link:
        link = await self._dial()
        link.on_lost = self._lost
        return link

    def _opened(self, dialling: asyncio.Task[Link]) -> None:
        self._dialling = None
        if dialling.cancelled():
            return
        if error := dialling.exception():
            self._note(unavailable=True, why=str(error))
            return
        self._links = [link for link in self._links if not link.closed] + [dialling.result()]
        self._note(unavailable=False, why="")

    def _lost(self) -> None:
        self._note(unavailable=True, why="the connection was lost")

    def _note(self, *, unavailable: bool, why: str) -> None:
        if unavailable and not self._unavailable:
            _logger.warning("Redis is unavailable", extra={"server": self._name, "reason": why})
        elif self._unavailable and not unavailable:
            _logger.info("Redis is available again", extra={"server": self._name})
        self._unavailable = unavailable


class Single:
    """A topology of one server at a fixed address."""

    by_key = False

    def __init__(self, logins: Logins, *, timeout: float) -> None:
        self.logins = logins
        self._timeout = timeout
        self._node = Node(logins.url.service or str(logins.url.addresses[0]), self._open)

    def ready(self, key: bytes) -> Link | None:
        return self._node.ready

    async def link(self, key: bytes, redirect: Redirected | None = None) -> Link:
        return await self._node.link()

    def on_error(self, error: StoreUnavailable) -> None:
        # After a failover the old primary is a replica, and the host name may lead to another server.
        if error.reason in ("readonly", "masterdown"):
            self._node.retire()

    async def node_for(self, channel: bytes, *, fresh: bool) -> Address:
        return self.logins.url.addresses[0]

    async def dial(self, node: Address, on_push: Pushed) -> Link:
        return await self._open(on_push)

    async def close(self) -> None:
        await self._node.close()

    async def _open(self, on_push: Pushed | None = None) -> Link:
        return await self._open_at(self.logins.url.addresses[0], on_push)

    async def _open_at(self, address: Address, on_push: Pushed | None) -> Link:
        return await self.logins.use(
            lambda url: open_link(address, url.login, timeout=self._timeout, linger=self._timeout, on_push=on_push)
        )


async def ask(address: Address, login: Login, command: tuple[str, ...], *, timeout: float) -> Reply:
    """Run one command over a temporary link; raises StoreUnavailable, never with ``sent``."""
    link = await open_link(address, login, timeout=timeout)
    try:
        return await link.send(pack(command), asyncio.get_running_loop().time() + timeout)
    except StoreError as error:
        raise StoreUnavailable("refused", f"{address}: {error}", sent=False) from error
    finally:
        link.abort()


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, if there is one, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))
