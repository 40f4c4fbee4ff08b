"""Sentinel with real processes: one primary, two replicas, three sentinels."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from tests.harness.ports import LOOPBACK
from tests.harness.redis import RedisServer, ServerSet
from tests.harness.waiting import until

SERVICE = "join-session"
QUORUM = 2
# A sentinel pings a server once in this time, and at least once a second. If this is shorter, it may take a new primary
# for dead before that has answered its first ping, and replace it, too.
DOWN_AFTER_MILLISECONDS = 2_000


class Sentinel(RedisServer):
    """A sentinel that watches the server on `primary_port`, with short time-outs."""

    def __init__(self, primary_port: int) -> None:
        super().__init__(arguments=("--sentinel",))
        self._primary_port = primary_port

    def _directives(self) -> list[str]:
        return [
            f"port {self.port}",
            f"bind {LOOPBACK}",
            f"dir {self.directory}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {self._primary_port} {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {SERVICE} 2000",
        ]


class SentinelSet(ServerSet):
    """`async with SentinelSet() as service: Connection.connect(service.url())`."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []

    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/0/{SERVICE}"

    async def primary(self) -> RedisServer:
        """Return the server that a majority of the sentinels considers the primary."""
        ports = [await self._primary_port(sentinel) for sentinel in self.sentinels]
        return next(server for server in self.servers if ports.count(server.port) >= QUORUM)

    async def failover(self) -> RedisServer:
        """Kill the primary, wait until another server has taken over, and return the dead one."""
        old = await self.primary()
        old.kill()
        await until(lambda: self._replaced(old), "the sentinels agree on a new primary")
        return old

    async def _start(self) -> None:
        first = await self._stack.enter_async_context(RedisServer())
        replica_of_first = {"replicaof": f"{LOOPBACK} {first.port}"}
        self.servers = [first, RedisServer(config=replica_of_first), RedisServer(config=replica_of_first)]
        await asyncio.gather(*map(self._stack.enter_async_context, self.servers[1:]))
        # A sentinel asks the primary for its replicas when it starts, and again only after ten seconds.
        await until(self._replicated, "both replicas are in step")
        self.sentinels = [Sentinel(first.port) for _ in range(3)]
        await asyncio.gather(*map(self._stack.enter_async_context, self.sentinels))
        await until(self._complete, "every sentinel knows the replicas and the other sentinels")

    async def _replicated(self) -> bool:
        return bool((await self.servers[0].call("INFO", "replication")).count(b"state=online") == 2)

    async def _complete(self) -> bool:
        for sentinel in self.sentinels:
            reply = await sentinel.call("SENTINEL", "MASTER", SERVICE)
            facts = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
            if (facts[b"num-slaves"], facts[b"num-other-sentinels"]) != (b"2", b"2"):
                return False
        return True

    async def _replaced(self, old: RedisServer) -> bool:
        ports = {await self._primary_port(sentinel) for sentinel in self.sentinels}
        if len(ports) != 1 or ports == {old.port}:
            return False
        new = next(server for server in self.servers if server.port in ports)
        return bool((await new.call("ROLE"))[0] == b"master")

    async def _primary_port(self, sentinel: Sentinel) -> int:
        try:
            reply = await sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        except RedisError:
            return 0
        return int(reply[1])
