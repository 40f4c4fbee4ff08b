"""The topologies of Redis, each of real processes, and how each moves data to another server."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.harness.cluster import ClusterSet
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer, require_tls
from tests.harness.sentinel import SentinelSet

__all__ = ["TOPOLOGIES", "Clustered", "Secured", "Sentinelled", "Standalone", "Topology", "documented_user"]

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "redis.md"


def documented_user() -> str:
    """Return the ACL rules that the documentation recommends, without the user's name."""
    rules = re.search(r"ACL SETUSER join-session on '>\S+' ((?:.|\n)+?)\n```", _DOCUMENT.read_text())
    assert rules is not None, f"{_DOCUMENT} shows no user"
    return " ".join(rules[1].replace("\\\n", " ").replace("'", "").replace("PREFIX", "js").split())


class Topology:
    """A context manager that runs the servers; `url` is for the service."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def servers(self) -> list[RedisServer]:
        """All servers with data, primaries and replicas."""
        raise NotImplementedError

    async def disturb(self, code: str) -> None:
        """Move the session `code` to another server, if there is one."""

    async def primaries(self) -> list[RedisServer]:
        return [server for server in self.servers if (await server.call("ROLE"))[0] == b"master"]

    async def contents(self) -> dict[str, int]:
        """Return every key with its time of expiry in Unix milliseconds, -1 without one."""
        found: dict[str, int] = {}
        for server in await self.primaries():
            for name in await server.call("KEYS", "*"):
                found[name.decode()] = int(await server.call("PEXPIRETIME", name.decode()))
        return found

    async def start(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        raise NotImplementedError


class Standalone(Topology):
    """One server."""

    def __init__(self, server: RedisServer | None = None) -> None:
        super().__init__()
        self.server = server or RedisServer()

    @property
    def url(self) -> str:
        return self.server.url()

    @property
    def servers(self) -> list[RedisServer]:
        return [self.server]

    async def _start(self) -> None:
        await self._stack.enter_async_context(self.server)


class Secured(Standalone):
    """One server with TLS only, and the user with the documented permissions."""

    def __init__(self) -> None:
        super().__init__(RedisServer(tls=True, users=[f"join-session on >secret {documented_user()}"]))

    @property
    def url(self) -> str:
        return self.server.url("join-session:secret")

    async def refusals(self) -> list[str]:
        """Return the commands that the user was refused since the last call."""
        log = await self.server.call("ACL", "LOG")
        await self.server.call("ACL", "LOG", "RESET")
        return [str(entry) for entry in log]

    async def _start(self) -> None:
        await require_tls()
        await super()._start()


class Sentinelled(Topology):
    """A primary with two replicas and three sentinels."""

    def __init__(self) -> None:
        super().__init__()
        self._set = SentinelSet()

    @property
    def url(self) -> str:
        return self._set.url()

    @property
    def servers(self) -> list[RedisServer]:
        return self._set.servers

    async def disturb(self, code: str) -> None:
        """Kill the primary and wait for the failover; the dead server returns, empty, as a replica."""
        dead = await self._set.failover()
        await dead.restart()

    async def _start(self) -> None:
        await self._stack.enter_async_context(self._set)


class Clustered(Topology):
    """A cluster of three primaries with a replica each."""

    def __init__(self) -> None:
        super().__init__()
        self._set = ClusterSet()

    @property
    def url(self) -> str:
        return self._set.url()

    @property
    def servers(self) -> list[RedisServer]:
        return list(self._set.nodes)

    async def disturb(self, code: str) -> None:
        """Move the slot of the session to another node."""
        await self._set.move_slot(KEYS.session(code))

    async def _start(self) -> None:
        await self._stack.enter_async_context(self._set)


TOPOLOGIES: Final[dict[str, type[Topology]]] = {
    "standalone": Standalone,
    "sentinel": Sentinelled,
    "cluster": Clustered,
    "tls": Secured,
}
