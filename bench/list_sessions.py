"""What others feel of an operator who pages through a hundred thousand sessions.

    python bench/list_sessions.py [rounds]

Each round times changes of a session, one after the other, first by themselves, then while another process reads fifty
pages a second, and then without a pause, which no operator can; printed are the medians of the rounds' p50 and p99.
With the server that makes three processes: on two cores, the last figure is that of processes that wait for each other.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from typing import Any

from app.redis_client.client import RedisClient
from app.redis_client.embedded import EmbeddedServer
from app.sessions.permissions import Action
from app.sessions.steps import NewSession, Person, SessionSettings
from app.sessions.tokens import Credential
from app.store.keys import Keys
from app.store.listing import RedisListing
from app.store.sessions import RedisSessions

SESSIONS = 100_000
AT_ONCE = 500
CHANGES = 5_000
PAGE = 50
HOUR = 3_600_000


async def main(rounds: int) -> None:
    async with EmbeddedServer() as server:
        ours = RedisClient.connect(server.url, timeout=60)
        store = RedisSessions(ours, Keys("js"), quarantine=60, max_listed=200)
        await create(store, SESSIONS)
        times: dict[str, list[tuple[float, float]]] = {"alone": [], "50 pages a second": [], "pages all the time": []}
        pages = multiprocessing.Value("i", 0)
        for _ in range(rounds):
            times["alone"].append(await changes(store))
            for name, pause in (("50 pages a second", 0.02), ("pages all the time", 0)):
                reader = multiprocessing.Process(target=read_pages, args=(server.url, pause, pages))
                before = pages.value
                reader.start()
                while pages.value == before:  # noqa: ASYNC110 - it is another process that counts
                    await asyncio.sleep(0.01)
                times[name].append(await changes(store))
                reader.terminate()
                reader.join()
        print(f"{SESSIONS:,} sessions, {rounds} rounds of {CHANGES:,} changes; {pages.value:,} pages of {PAGE} read\n")
        for name, measured in times.items():
            p50, p99 = (statistics.median(column) * 1000 for column in zip(*measured, strict=True))
            print(f"{name:20} p50 {p50:6.3f} ms   p99 {p99:6.3f} ms")
        await store.close()
        await ours.close()


async def create(store: RedisSessions, count: int) -> None:
    session = NewSession(
        epoch="e",
        lifetime=HOUR,
        unjoined=None,
        max_lifetime=HOUR,
        quarantine=60_000,
        capacity=100,
        departed_ratings="keep",
        title="Friday",
        movies=(),
    )
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await store.create({f"{number:06}": f"i{number}"}, session)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def changes(store: RedisSessions) -> tuple[float, float]:
    host = Person(Credential("host", "i0", "1"), Action.UPDATE_SESSION)
    times = []
    for _ in range(CHANGES):
        began = time.perf_counter()
        await store.update_session("000000", host, SessionSettings(title="Friday"))
        times.append(time.perf_counter() - began)
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


def read_pages(url: str, pause: float, count: Any) -> None:
    async def read() -> None:
        listing = RedisListing(RedisClient.connect(url, timeout=60), Keys("js"))
        behind = None
        while True:
            behind = (await listing.page(behind, PAGE)).behind
            count.value += 1
            await asyncio.sleep(pause)

    asyncio.run(read())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
