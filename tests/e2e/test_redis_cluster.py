"""A Redis Cluster of six nodes loses a primary and moves its slots under a crowd of stock clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest_asyncio
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.e2e.cluster import Cluster, say
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.drilled import drilled, weekly
from tests.e2e.servers import LOGIN, ask, install_with, lost, servers
from tests.harness.keys import KEYS
from tests.harness.node import NodeClients
from tests.harness.waiting import until

pytestmark = weekly(900)

PLANNED: Final = 5.0
# The others take a primary for dead after five seconds, and then elect its replica.
KILLED: Final = 15.0
NODES: Final = [f"redis-cluster-{number}" for number in range(6)]


@dataclass(frozen=True)
class Node:
    """A node as the cluster sees it; `primary` is the id of the one that it copies."""

    id: str
    pod: str
    primary: str
    slots: frozenset[int]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(kind: Cluster, node: NodeClients) -> AsyncIterator[Crowd]:
    async with servers(kind, "cluster", "+cluster|slots +asking"):
        await joined(kind)
        hosts = ",".join(f"{name}.redis-cluster" for name in NODES)
        await install_with(kind, f"redis+cluster://{LOGIN}@{hosts}", "redis.enabled=false")
        say("a hundred clients join")
        async with crowd(node, kind.url) as gathered:
            yield gathered


async def test_a_replica_takes_over_on_purpose(kind: Cluster, people: Crowd) -> None:
    old = await busiest(kind, people)

    async def cluster_failover() -> None:
        [replica] = [node for node in await nodes(kind) if node.primary == old.id]
        await ask(kind, replica.pod, "cluster", "failover")
        await until(lambda: took_over(kind, replica), "the replica is the primary", poll=0.5)

    await drilled("cluster_failover", people, cluster_failover(), PLANNED, silent=PLANNED)


async def test_a_primary_is_lost(kind: Cluster, people: Crowd) -> None:
    old = await busiest(kind, people)

    async def cluster_primary_lost() -> None:
        [replica] = [node for node in await nodes(kind) if node.primary == old.id]
        async with lost(kind, old.pod):
            await until(lambda: took_over(kind, replica), "the replica is the primary", poll=0.5)
        await until(lambda: copies(kind, old, replica), "the lost node is a replica", poll=0.5)

    await drilled("cluster_primary_lost", people, cluster_primary_lost(), KILLED, silent=KILLED)


async def test_slots_of_live_sessions_move(kind: Cluster, people: Crowd) -> None:
    old = await busiest(kind, people)
    target = next(node for node in await nodes(kind) if node.slots and node.id != old.id)

    async def cluster_slots_moved() -> None:
        ways = ("--cluster-from", old.id, "--cluster-to", target.id, "--cluster-slots", str(len(old.slots)))
        await ask(kind, old.pod, "--cluster", "reshard", "127.0.0.1:6379", *ways, "--cluster-yes")

    await drilled("cluster_slots_moved", people, cluster_slots_moved(), PLANNED, silent=PLANNED)
    moved = {node.id: node.slots for node in await nodes(kind)}
    assert moved[old.id] == frozenset()
    assert moved[target.id] == target.slots | old.slots


async def joined(kind: Cluster) -> None:
    """Makes a cluster of the servers, each of which still is alone."""
    pods = await kind.objects("pods", "-l", "app=redis-cluster")
    addresses = [f"{pod['status']['podIP']}:6379" for pod in pods]
    await ask(kind, NODES[0], "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes")
    await until(lambda: complete(kind), "three primaries have a replica each", poll=0.5)


async def complete(kind: Cluster) -> bool:
    found = await nodes(kind)
    served = sum(len(node.slots) for node in found) == REDIS_CLUSTER_HASH_SLOTS
    replicas = [node.pod for node in found if node.primary]
    # Each tells the others its name a little later.
    named = {node.pod for node in found} == set(NODES)
    return served and named and len(replicas) == 3 and all([await in_step(kind, pod) for pod in replicas])


async def took_over(kind: Cluster, replica: Node) -> bool:
    return "role:master" in await ask(kind, replica.pod, "info", "replication")


async def copies(kind: Cluster, old: Node, primary: Node) -> bool:
    known = {node.id: node.primary for node in await nodes(kind, by=old.pod)}
    return known[old.id] == primary.id and await in_step(kind, old.pod)


async def in_step(kind: Cluster, pod: str) -> bool:
    return "master_link_status:up" in await ask(kind, pod, "info", "replication")


async def busiest(kind: Cluster, people: Crowd) -> Node:
    """The primary of most of the sessions."""
    slots = [key_slot(KEYS.session(session.code).encode()) for session in people.sessions]
    return max(await nodes(kind), key=lambda node: sum(slot in node.slots for slot in slots))


async def nodes(kind: Cluster, by: str = NODES[0]) -> list[Node]:
    """All nodes, as one of them sees the cluster."""
    return [_parse(line) for line in (await ask(kind, by, "cluster", "nodes")).splitlines()]


def _parse(line: str) -> Node:
    """A line is: id, address with host name, flags, primary, ping, pong, epoch, link, ranges of slots."""
    identity, address, _, primary, _, _, _, _, *ranges = line.split()
    slots: set[int] = set()
    for text in ranges:
        first, _, last = text.partition("-")
        if not text.startswith("["):
            slots.update(range(int(first), int(last or first) + 1))
    return Node(identity, address.partition(",")[2], primary.strip("-"), frozenset(slots))
