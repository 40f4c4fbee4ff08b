"""Redis Cluster: the map from slots to nodes, which is updated from redirections and errors."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Iterable
from typing import Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from app.redis_client.errors import Redirected, StoreUnavailable
from app.redis_client.link import Link, Pushed, open_link
from app.redis_client.logins import Logins
from app.redis_client.reply import Reply, array, integer, text
from app.redis_client.topology import SHARE_OF_TIMEOUT, Node, ask, end
from app.redis_client.url import Address

__all__ = ["Cluster"]

_CLUSTER_SLOTS: Final = ("CLUSTER", "SLOTS")


class Cluster:
    """The topology of a Cluster: one shared link for each primary."""

    by_key = True

    def __init__(self, logins: Logins, *, timeout: float) -> None:
        self.logins = logins
        self._seeds = logins.url.addresses
        self._timeout = timeout
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._nodes: dict[Address, Node] = {}
        self._former: list[Node] = []
        self._refreshing: asyncio.Task[None] | None = None

    def ready(self, key: bytes) -> Link | None:
        owner = self._owners[key_slot(key)]
        return self._nodes[owner].ready if owner in self._nodes else None

    async def link(self, key: bytes, redirect: Redirected | None = None) -> Link:
        address = redirect.node if redirect is not None else None
        if address is None:
            address = await self.node_for(key, fresh=False)
        try:
            return await self._node(address).link()
        except StoreUnavailable:
            self._refresh_soon()
            raise

    def on_error(self, error: StoreUnavailable) -> None:
        if isinstance(error, Redirected) and not error.asking:
            self._owners[error.slot] = error.node
        if error.reason in ("moved", "clusterdown", "lost", "timeout", "refused", "readonly"):
            self._refresh_soon()

    async def node_for(self, channel: bytes, *, fresh: bool) -> Address:
        slot = key_slot(channel)
        if fresh or self._owners[slot] is None:
            refreshing = self._refresh_soon()
            await asyncio.wait((refreshing,))
            if refreshing.cancelled():
                raise StoreUnavailable("closed", sent=False)
            refreshing.result()
        address = self._owners[slot]
        if address is None:
            raise StoreUnavailable("clusterdown", f"no node serves slot {slot}", sent=False)
        return address

    async def dial(self, node: Address, on_push: Pushed) -> Link:
        return await self._open(node, on_push)

    async def close(self) -> None:
        await end(self._refreshing)
        for node in (*self._nodes.values(), *self._former):
            await node.close()

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = Node(str(address), functools.partial(self._open, address))
        return node

    async def _open(self, address: Address, on_push: Pushed | None = None) -> Link:
        return await self.logins.use(
            lambda url: open_link(address, url.login, timeout=self._timeout, linger=self._timeout, on_push=on_push)
        )

    def _refresh_soon(self) -> asyncio.Task[None]:
        if self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh(), context=contextvars.Context())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    def _refreshed(self, refreshing: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not refreshing.cancelled():
            # Retrieved here in case no caller waits. The next command that needs the map starts another refresh.
            refreshing.exception()

    async def _refresh(self) -> None:
        failure = StoreUnavailable("refused", "no node of the cluster answers", sent=False)
        for address in self._candidates():
            try:
                reply = await self._slots(address)
                owners = _parse_slots(reply, address)
            except StoreUnavailable as error:
                failure = error
                continue
            self._owners = owners
            self._forget(set(owners))
            return
        raise failure

    async def _slots(self, address: Address) -> Reply:
        timeout = self._timeout / SHARE_OF_TIMEOUT
        return await self.logins.use(lambda url: ask(address, url.login, _CLUSTER_SLOTS, timeout=timeout))

    def _candidates(self) -> list[Address]:
        """Return the nodes to ask, connected ones first: asking a dead one takes time."""
        known = sorted(self._nodes, key=lambda address: self._nodes[address].ready is None)
        return list(dict.fromkeys((*known, *self._seeds)))

    def _forget(self, owners: Iterable[Address | None]) -> None:
        self._former = [node for node in self._former if not node.closed]
        for address in self._nodes.keys() - owners:
            node = self._nodes.pop(address)
            node.retire()
            self._former.append(node)


def _parse_slots(reply: Reply, asked: Address) -> list[Address | None]:
    owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
    try:
        for slots in array(reply):
            begin, last, primary, *_ = array(slots)
            host, port, *_ = array(primary)
            first, stop = integer(begin), integer(last) + 1
            # A node that does not know its own host name omits it.
            owner = Address(text(host) if host and host != b"?" else asked.host, integer(port))
            owners[first:stop] = [owner] * (stop - first)
    except (TypeError, ValueError) as error:
        raise StoreUnavailable("protocol", f"{asked} does not describe a cluster", sent=False) from error
    return owners
