"""Counts on how many replicas the people of sessions are, behind a proxy and without one.

`python -m tests.packaging.meetings` prints it for sessions of ten on four replicas, and how evenly rings spread the
buckets.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from bisect import bisect
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import httpx

from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.packaging.conftest import Charts
from tests.packaging.proxies import HAProxy, Nginx, Proxy, running

__all__ = ["BUCKET", "CONTROLLERS", "Meetings", "meet", "proxy_before"]

BUCKET: Final = "join_session_bucket"
CONTROLLERS: Final = ("nginx", "haproxy")
REPLICAS: Final = 4
PEOPLE: Final = 10
SESSIONS: Final = 200

_HANDSHAKE: Final = "/socket.io/?EIO=4&transport=polling"


@dataclass(frozen=True)
class Meetings:
    """For each session its replicas, and how many people each of them got."""

    sessions: list[Counter[str]]

    @property
    def replicas(self) -> float:
        """The mean number of replicas that a session is on."""
        return mean(map(len, self.sessions))

    @property
    def people(self) -> Counter[str]:
        """The people of all sessions by replica."""
        return sum(self.sessions, Counter())


async def meet(url: str, *, sessions: int, people: int = PEOPLE, cookies: bool = True) -> Meetings:
    """Let people join new sessions over HTTP and connect, with the cookies that they got or without any."""
    met = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as api:
        for _ in range(sessions):
            api.cookies.clear()
            code = (await api.post("/api/session/create")).json()["sessionID"]
            met.append(Counter([await _replica(url, code, cookies=cookies) for _ in range(people)]))
    return Meetings(met)


async def _replica(url: str, code: str, *, cookies: bool) -> str:
    """The replica to which a newcomer comes, by the id of its connection, which it ends."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as newcomer:
        answer = await newcomer.post("/api/session/join", json={"sessionID": code})
        assert answer.status_code == 200, answer.text
        if not cookies:
            newcomer.cookies.clear()
        sid = json.loads((await newcomer.get(_HANDSHAKE)).text[1:])["sid"]
        await newcomer.post(f"{_HANDSHAKE}&sid={sid}", content="1")
    return str(sid.partition(".")[0])


def proxy_before(controller: str, charts: Charts, folder: Path, ports: list[int]) -> Proxy:
    """A proxy that does what the chart's preset says with `ingress.affinity=session`, before local replicas."""
    rendering = charts.render(f"{controller}-meeting", {"ingress": {"affinity": "session"}}, controller)
    ingress = rendering["Ingress/join-session"]["metadata"]["annotations"]
    if controller == "nginx":
        proxy: Proxy = Nginx(folder, ingress)
    else:
        proxy = HAProxy(folder, rendering["Service/join-session"]["metadata"]["annotations"], ingress, ports)
    proxy.route(ports)
    return proxy


def fullest(replicas: int, points: int, rings: int = 5) -> float:
    """The buckets of the fullest of some replicas with so many points each on a ring; the average is 1."""
    found = []
    for ring in range(rings):
        owners = {_hash(f"{ring} {replica} {point}"): replica for replica in range(replicas) for point in range(points)}
        places = sorted(owners)
        spread = Counter(
            owners[places[bisect(places, _hash(f"{ring} {bucket}")) % len(places)]] for bucket in range(4096)
        )
        found.append(max(spread.values()) * replicas / 4096)
    return mean(found)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:8]


async def main() -> None:
    for points in (16, 160, 256):
        times = ", ".join(f"{count}: {fullest(count, points):.2f}" for count in (4, 10, 40, 100, 200))
        print(f"{points} points, the fullest of so many replicas, by the average: {times}")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        charts = Charts(Path(folder))
        async with (
            RedisServer() as redis,
            replicas(redis.url(), REPLICAS, affinity_bucket_cookie=BUCKET) as four,
        ):
            for controller in CONTROLLERS:
                proxy = proxy_before(controller, charts, Path(folder), [replica.port for replica in four])
                async with running(proxy) as url:
                    for cookies in (True, False):
                        met = await meet(url, sessions=SESSIONS, cookies=cookies)
                        share = max(met.people.values()) / met.people.total()
                        which = "with cookies" if cookies else "without any"
                        print(f"{controller}, {which}: {met.replicas:.2f} replicas, fullest has {share:.0%}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
