"""Three replicas on each way of running Redis; what is not on a single server is slow.

A test takes the fixture `world` and runs on each; with `@RACES` it also repeats itself `world.repeats` times: a few
times in the quick suite, fifty times in the slow one, three times on the other ways.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.harness.keys import KEYS
from tests.harness.people import Api
from tests.harness.service import UNKNOWN, Replica, running_replicas
from tests.harness.topologies import TOPOLOGIES, Secured, Topology

__all__ = ["CODE_REST", "GRACE", "LEASE", "RACES", "World", "api", "fresh_topology", "hosts", "world"]

GRACE: Final = 1.0
CODE_REST: Final = 1.0
LEASE: Final = 3.0

_SLOW: Final = (pytest.mark.slow, pytest.mark.timeout(300))
_OTHERS: Final = [pytest.param((name, 3), id=name, marks=_SLOW) for name in TOPOLOGIES if name != "standalone"]
_QUICK: Final = pytest.param(("standalone", 2), id="standalone")
_FIFTY: Final = pytest.param(("standalone", 50), id="standalone fifty times", marks=_SLOW)

RACES: Final = pytest.mark.parametrize("world", [_QUICK, _FIFTY, *_OTHERS], indirect=True, scope="session")


@dataclass(frozen=True)
class World:
    """Three replicas that share a Redis, and that Redis."""

    topology: Topology
    replicas: Sequence[Replica]
    repeats: int

    @property
    def urls(self) -> list[str]:
        return [replica.url for replica in self.replicas]

    async def keys_of(self, codes: Sequence[str], pids: Sequence[str] = ()) -> list[str]:
        """The keys there are of sessions and of these recovery ids."""
        theirs = {key for code in codes for key in KEYS.session_keys(code)} | {KEYS.recovery(pid) for pid in pids}
        return sorted(theirs & (await self.topology.contents()).keys())


@pytest.fixture(scope="session", params=[_QUICK, *_OTHERS])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    name, repeats = request.param
    topology: Topology = asyncio.run(TOPOLOGIES[name]().start())
    try:
        with running_replicas(
            topology.url, 3, grace=GRACE, code_rest=CODE_REST, lease=LEASE, min_lifetime=0.5
        ) as replicas:
            # What holds, holds after a failover or a slot move, too.
            asyncio.run(topology.disturb(UNKNOWN))
            yield World(topology, replicas, repeats)
        if isinstance(topology, Secured):
            assert asyncio.run(topology.refusals()) == []
    finally:
        asyncio.run(topology.stop())


@pytest.fixture(scope="module", params=[_QUICK, *_OTHERS])
def fresh_topology(request: pytest.FixtureRequest) -> Iterator[Topology]:
    """A Redis for tests that bring replicas of their own, to kill them."""
    name, _ = request.param
    topology: Topology = asyncio.run(TOPOLOGIES[name]().start())
    try:
        yield topology
    finally:
        asyncio.run(topology.stop())


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    opened = Api(world.replicas)
    yield opened
    await opened.close()


def hosts(data: dict[str, Any]) -> list[str]:
    """The participants of a `sessionData` that are its host, of whom there should be one."""
    return [participant["id"] for participant in data["participants"] if participant["role"] == "host"]
