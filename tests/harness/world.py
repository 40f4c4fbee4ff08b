"""Three replicas on each topology of Redis. Topologies other than a single server are slow tests.

A test with the fixture `world` runs on each topology. With `@RACES` it also repeats itself `world.repeats` times: twice
in the quick suite, fifty times in the slow one, three times on the other topologies.
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

__all__ = ["CODE_REST", "DECIDE_DELAY", "GRACE", "LEASE", "RACES", "World", "api", "fresh_topology", "hosts", "world"]

GRACE: Final = 1.0
CODE_REST: Final = 1.0
LEASE: Final = 3.0
DECIDE_DELAY: Final = 0.3

_SLOW: Final = (pytest.mark.slow, pytest.mark.timeout(300))
_OTHERS: Final = [pytest.param((name, 3), id=name, marks=_SLOW) for name in TOPOLOGIES if name != "standalone"]
_QUICK: Final = pytest.param(("standalone", 2), id="standalone")
_FIFTY: Final = pytest.param(("standalone", 50), id="standalone fifty times", marks=_SLOW)

RACES: Final = pytest.mark.parametrize("world", [_QUICK, _FIFTY, *_OTHERS], indirect=True, scope="session")


@dataclass(frozen=True)
class World:
    """Three replicas and the Redis that they share."""

    topology: Topology
    replicas: Sequence[Replica]
    repeats: int

    @property
    def urls(self) -> list[str]:
        return [replica.url for replica in self.replicas]

    async def keys_of(self, codes: Sequence[str], pids: Sequence[str] = ()) -> list[str]:
        """Return the existing keys of sessions and of these recovery ids."""
        theirs = {key for code in codes for key in KEYS.session_keys(code)} | {KEYS.recovery(pid) for pid in pids}
        return sorted(theirs & (await self.topology.contents()).keys())


@pytest.fixture(scope="session", params=[_QUICK, *_OTHERS])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    name, repeats = request.param
    topology: Topology = asyncio.run(TOPOLOGIES[name]().start())
    try:
        with running_replicas(
            topology.url, 3, grace=GRACE, code_rest=CODE_REST, lease=LEASE, min_lifetime=0.5, decide_delay=DECIDE_DELAY
        ) as replicas:
            # All rules hold after a failover or a slot move as well.
            asyncio.run(topology.disturb(UNKNOWN))
            yield World(topology, replicas, repeats)
        if isinstance(topology, Secured):
            assert asyncio.run(topology.refusals()) == []
    finally:
        asyncio.run(topology.stop())


@pytest.fixture(scope="module", params=[_QUICK, *_OTHERS])
def fresh_topology(request: pytest.FixtureRequest) -> Iterator[Topology]:
    """A Redis for tests that start and kill replicas of their own."""
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
    """Return the ids of the hosts in a `sessionData`; there should be exactly one."""
    return [participant["id"] for participant in data["participants"] if participant["role"] == "host"]
