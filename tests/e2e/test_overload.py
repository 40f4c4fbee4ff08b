"""More clients than two small replicas can hold: they pay no heed to Retry-After, and back off as stock ones do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import httpx

from tests.e2e.cluster import NAMESPACE, REPORT, Cluster, say
from tests.e2e.drilled import weekly
from tests.harness.people import movie
from tests.harness.reconnecting import Second, assert_served, reconnecting
from tests.harness.waiting import until

pytestmark = weekly(1500)

CLIENTS: Final = 8000
CONNECTED: Final = 4750
# Of half as many.
RESUMED: Final = 3600
SESSIONS: Final = 800
MOVIES: Final = 4
HELD_SECONDS: Final = 300
# All clients come from the address of the host.
SETTINGS: Final = "replicaCount=2,resources.limits.memory=160Mi," + ",".join(
    f"config.{name}=1000000" for name in ("maxConnectionsPerAddress", "maxSessionsPerAddress", "createBudget")
)


async def test_eight_thousand_clients_of_two_pods_of_160_mib(release: Cluster, tmp_path: Path) -> None:
    await release.install("--set", SETTINGS)
    pods = await until(lambda: _two(release), "only two replicas are left", poll=1)
    for name in pods:
        assert "join_session_max_connections 2925.0" in await _metrics(release, name)
    codes = await _made(release, tmp_path)
    # The port that kind publishes has a program behind it, which is full first.
    host = await release.entrance()
    say(f"drill overload: {CLIENTS} clients come")
    async with reconnecting(
        codes, CLIENTS, movies=MOVIES, votes_per_second=100, ports=[80], host=host, backoff=True
    ) as crowd:
        try:
            joined = await crowd.until(_enough, 120)
            held = await crowd.during(HELD_SECONDS)
            count = len(crowd.seconds)
            await crowd.want(CLIENTS // 2)
            resumed = await crowd.until(lambda second: second.wanted == CLIENTS // 2 and second.joined > RESUMED, 30)
        finally:
            REPORT.mkdir(parents=True, exist_ok=True)
            (REPORT / "overload.json").write_text(json.dumps([vars(second) for second in crowd.seconds]))
    _note(joined, held, resumed.seconds - held[-1].seconds)
    assert all(map(_enough, held))
    assert sum(second.lost for second in held) == 0
    assert min(second.joined for second in crowd.seconds[count:]) < RESUMED
    assert_served(held)
    assert sorted(await _two(release)) == sorted(pods)
    for pod in await release.replicas():
        [container] = pod["status"]["containerStatuses"]
        assert container["restartCount"] == 0


async def _two(release: Cluster) -> list[str]:
    names = [pod["metadata"]["name"] for pod in await release.replicas()]
    return names if len(names) == 2 else []


async def _metrics(release: Cluster, pod: str) -> str:
    return await release.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy/metrics")


async def _made(release: Cluster, folder: Path) -> Path:
    codes = folder / "codes"
    body = {"capacity": 1000, "movies": [movie(f"m{number}") for number in range(MOVIES)]}
    async with httpx.AsyncClient(base_url=release.url, trust_env=False, timeout=20) as client:
        made = [(await client.post("/api/session/create", json=body)).json() for _ in range(SESSIONS)]
    codes.write_text("".join(f"{session['sessionID']}\n" for session in made))
    return codes


def _enough(second: Second) -> bool:
    return second.joined >= CONNECTED


def _note(joined: Second, held: list[Second], resumed: float) -> None:
    p99 = sorted(second.p99_ms for second in held)[len(held) // 2]
    say(
        f"drill overload: {CONNECTED} connected after {joined.seconds:.0f} s, then {held[-1].joined}; "
        f"acks within {p99:.0f} ms (99 %); half as many: again after {resumed:.0f} s"
    )
