"""A Redis Cluster of real processes: three primaries with a replica each."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, Self

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from tests.harness.ports import LOOPBACK, free_port
from tests.harness.redis import RedisServer, ServerSet
from tests.harness.waiting import until

PRIMARIES: Final = 3


class ClusterNode(RedisServer):
    """One node; `id` is set once it runs."""

    id: str

    def __init__(self) -> None:
        self.bus_port = free_port()
        super().__init__(
            config={
                "cluster-enabled": "yes",
                "cluster-port": str(self.bus_port),
                "cluster-node-timeout": "1000",
                # A replica may take over however long it was disconnected from its primary, and never moves to another
                # one.
                "cluster-replica-validity-factor": "0",
                "cluster-allow-replica-migration": "no",
            }
        )

    async def start(self) -> Self:
        await super().start()
        self.id = (await self.call("CLUSTER", "MYID")).decode()
        return self


class ClusterSet(ServerSet):
    """`async with ClusterSet() as cluster: Connection.connect(cluster.url())`."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = [ClusterNode() for _ in range(2 * PRIMARIES)]

    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)

    async def owner(self, key: str) -> ClusterNode:
        """Return the node that serves the slot of a key, according to the other nodes."""
        return self._owner_in(await self._ask_anyone("CLUSTER", "SLOTS"), key_slot(key.encode()))

    async def move_slot(self, key: str) -> ClusterNode:
        """Move the slot of a key, with all its keys, to another primary, and return that one once all nodes know it."""
        slot = key_slot(key.encode())
        source = await self.owner(key)
        primaries = [node for node in self.nodes if node is not source and await self._is_primary(node)]
        target = primaries[0]
        await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        for name in await source.call("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
            await source.call("MIGRATE", LOOPBACK, target.port, name.decode(), 0, 5000)
        for node in (target, source, *primaries[1:]):
            await node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        await until(partial(self._agree_on, slot), "all nodes know the owner of the slot")
        return target

    async def failover(self, key: str) -> ClusterNode:
        """Kill the primary of a key's slot, wait until its replica has taken over, and return the dead one."""
        old = await self.owner(key)
        old.kill()
        await until(lambda: self._replaced(old, key), "the replica has taken over")
        return old

    async def _start(self) -> None:
        await asyncio.gather(*map(self._stack.enter_async_context, self.nodes))
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        bounds = [REDIS_CLUSTER_HASH_SLOTS * index // PRIMARIES for index in range(PRIMARIES + 1)]
        for index, primary in enumerate(primaries):
            await primary.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            await primary.call("CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
        for node in self.nodes[1:]:
            await self.nodes[0].call("CLUSTER", "MEET", LOOPBACK, node.port, node.bus_port)
        await until(self._acquainted, "all nodes know each other")
        for primary, replica in zip(primaries, replicas, strict=True):
            await replica.call("CLUSTER", "REPLICATE", primary.id)
        await until(self._complete, "every slot is served and every replica is in step")

    async def _acquainted(self) -> bool:
        tables = [await node.call("CLUSTER", "NODES") for node in self.nodes]
        return all(table.count(b" connected") == len(self.nodes) and b"handshake" not in table for table in tables)

    async def _complete(self) -> bool:
        for node in self.nodes:
            if b"cluster_state:ok" not in await node.call("CLUSTER", "INFO"):
                return False
            if (
                len([line for line in (await node.call("CLUSTER", "NODES")).split(b"\n") if b"slave" in line])
                != PRIMARIES
            ):
                return False
        return all(
            [b"master_link_status:up" in await node.call("INFO", "replication") for node in self.nodes[PRIMARIES:]]
        )

    async def _agree_on(self, slot: int) -> bool:
        """Return whether all nodes know the same owner, and the same newest epoch.

        The next owner takes the epoch after the newest that it knows. If that was not the newest of all, two nodes have
        the same, one of them takes another one, and in the end each says for ever that the slot is the other's.
        """
        owners = {self._owner_in(await node.call("CLUSTER", "SLOTS"), slot) for node in self.nodes}
        epochs = {
            line
            for node in self.nodes
            for line in (await node.call("CLUSTER", "INFO")).splitlines()
            if line.startswith(b"cluster_current_epoch:")
        }
        return len(owners) == len(epochs) == 1

    def _owner_in(self, slots: Any, slot: int) -> ClusterNode:
        """Return the node that serves a slot according to a reply to CLUSTER SLOTS."""
        for first, last, (_, port, *_), *_ in slots:
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    async def _is_primary(self, node: ClusterNode) -> bool:
        try:
            return bool((await node.call("ROLE"))[0] == b"master")
        except RedisError:
            return False

    async def _replaced(self, old: ClusterNode, key: str) -> bool:
        new = await self.owner(key)
        return new is not old and b"cluster_state:ok" in await new.call("CLUSTER", "INFO")

    async def _ask_anyone(self, *command: str) -> Any:
        for node in self.nodes:
            try:
                return await node.call(*command)
            except RedisError:
                continue
        raise AssertionError("no node answers")
