"""A deployment that is too large to be tried: a million people over 200 replicas and a Cluster of 16 primaries.

    python -m bench.simulate [--people N] [--replicas N] [--primaries N] [--changes R] [--patches] [--affinity]

The sizes of sessions are drawn from Zipf's law. Each session is placed on replicas and a primary as the load balancer
and the hash slots do it, and each change, join and read costs what was measured (``app/capacity.py``). Replicas and
primaries work one thing after another; what they cannot do in a step of time waits. Four things happen, each beside the
changes: none, the loss of a replica, a rolling restart, and the loss of a primary. The waiting of changes is simulated
one by one.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from app.capacity import FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS, MEASURED, Constants

__all__ = ["Cluster", "Plan", "lost_primary", "lost_replica", "main", "queueing", "rolling_restart"]

_STEP: Final = 0.1
_EXPONENT: Final = 2.0
_LARGEST: Final = 1000
_MEAN: Final = 10.0
_BUCKETS: Final = 4096
# Of a rolling restart: until a replica is ready and its successor may be ended, and how long one drains.
_START_SECONDS: Final = 8.0
_DRAIN_SECONDS: Final = 25.0
# Until a Cluster has put a replica of Redis in a primary's place: its node timeout and an election.
_FAILOVER_SECONDS: Final = 16.0
# Until replicas have subscribed at the new primary.
_SUBSCRIBE_SECONDS: Final = 0.5
# What remains for further work, however busy a process is: its work is late then, and updates are passed over.
_MIN_FREE: Final = 0.05
_QUEUED_JOBS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Plan:
    """``changes``: a second in each session; ``surge``: replicas that are replaced at a time."""

    people: int = 1_000_000
    replicas: int = 200
    primaries: int = 16
    changes: float = 1.0
    patches: bool = False
    has_affinity: bool = False
    surge: int = 1
    seed: int = 1
    mean: float = _MEAN
    same_size: bool = False
    ping_interval: float = 25.0


class Cluster:
    """The sessions and where they are: for each session its size and how many people each of its replicas has."""

    def __init__(self, plan: Plan, constants: Constants = MEASURED) -> None:
        self.plan = plan
        self.costs = constants
        self.random = random.Random(plan.seed)
        self.sizes = [round(plan.mean)] * round(plan.people / plan.mean) if plan.same_size else list(self._sizes())
        self.primary_of = [self.random.randrange(plan.primaries) for _ in self.sizes]
        self.places: list[dict[int, int]] = [self._placed(size) for size in self.sizes]

    def _sizes(self) -> Iterator[int]:
        """Zipf's law, cut off at the largest capacity, and scaled to the mean."""
        weights = [1 / size**_EXPONENT for size in range(2, _LARGEST + 1)]
        mean = sum(size * weight for size, weight in enumerate(weights, 2)) / sum(weights)
        scale = self.plan.mean / mean
        sums = list(accumulate(weights))
        left = self.plan.people
        while left > 0:
            (size,) = self.random.choices(range(2, _LARGEST + 1), cum_weights=sums)
            size = min(left, max(1, min(_LARGEST, round(size * scale))))
            left -= size
            yield size

    def _placed(self, size: int) -> dict[int, int]:
        replicas = self.plan.replicas
        if self.plan.has_affinity:
            return {self.random.randrange(_BUCKETS) % replicas: size}
        return dict(Counter(self.random.choices(range(replicas), k=size)))

    def people(self) -> list[int]:
        found = [0] * self.plan.replicas
        for place in self.places:
            for replica, members in place.items():
                found[replica] += members
        return found

    def work(self) -> list[float]:
        """The part of the time in which each replica works; above 1 it does not keep up."""
        costs = self.costs
        found = [costs.replica_us] * self.plan.replicas
        delivery = costs.delivery(patches=self.plan.patches)
        for size, place in zip(self.sizes, self.places, strict=True):
            announcement = costs.announcement(size, patches=self.plan.patches)
            for replica, members in place.items():
                change = costs.change_us * members / size + announcement + delivery * members
                found[replica] += self.plan.changes * change + costs.session_us
                found[replica] += members * costs.heartbeat_us / self.plan.ping_interval
        return [us / 1e6 for us in found]

    def change(self, size: float, holders: float) -> float:
        """Seconds of work of all replicas for a change."""
        announced = holders * self.costs.announcement(size, patches=self.plan.patches)
        return (self.costs.change_us + announced + self.costs.delivery(patches=self.plan.patches) * size) / 1e6

    def redis_change(self, holders: float) -> float:
        return (self.costs.redis_change_us + self.costs.redis_announcement_us * holders) / 1e6

    def join(self, size: float) -> float:
        return self.costs.join(size) / 1e6

    def memory(self) -> list[float]:
        costs = self.costs
        found = [costs.replica_bytes] * self.plan.replicas
        for place in self.places:
            for replica, members in place.items():
                found[replica] += costs.session_bytes + members * costs.person_bytes
        return found

    def redis_work(self) -> list[float]:
        """The part of the time in which each primary works, as ``app/capacity.py`` computes it."""
        costs = self.costs
        works, changes = [0.0] * self.plan.primaries, [0.0] * self.plan.primaries
        for primary, place in zip(self.primary_of, self.places, strict=True):
            works[primary] += self.plan.changes * (costs.redis_change_us + costs.redis_announcement_us * len(place))
            changes[primary] += self.plan.changes
        idle = self.plan.replicas * costs.redis_replica_us / self.plan.primaries
        return [
            (work + rate * costs.redis_wake_us + idle) / (1e6 + rate * costs.redis_wake_us)
            for work, rate in zip(works, changes, strict=True)
        ]


def queueing(arrivals: float, seconds_each: float, generator: random.Random) -> dict[str, float]:
    """The time from the arrival of a job until it is done, by Lindley's recursion; milliseconds."""
    if arrivals * seconds_each >= 1:
        return {"p50_ms": math.inf, "p99_ms": math.inf}
    wait, times = 0.0, []
    for _ in range(_QUEUED_JOBS):
        took = generator.expovariate(1 / seconds_each)
        times.append(wait + took)
        wait = max(0.0, wait + took - generator.expovariate(arrivals))
    times.sort()
    return {"p50_ms": times[len(times) // 2] * 1e3, "p99_ms": times[len(times) * 99 // 100] * 1e3}


def lost_replica(cluster: Cluster) -> dict[str, float]:
    """One replica is killed: its people come to the others after their first pause."""
    plan, work = cluster.plan, cluster.work()
    arrivals = [[0.0] * plan.replicas for _ in range(_steps(LAST_PAUSE_SECONDS))]
    for size, place in zip(cluster.sizes, cluster.places, strict=True):
        for _ in range(place.get(0, 0)):
            step = int(cluster.random.uniform(FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS) / _STEP)
            arrivals[step][cluster.random.randrange(1, plan.replicas)] += cluster.join(size)
    waiting, longest, step = [0.0] * plan.replicas, 0.0, 0
    while step < len(arrivals) or max(waiting) > 0:
        if step < len(arrivals):
            waiting = [before + more for before, more in zip(waiting, arrivals[step], strict=True)]
        waiting = [max(0.0, left - _free(busy) * _STEP) for left, busy in zip(waiting, work, strict=True)]
        longest = max(longest, *waiting)
        step += 1
    return {"reconnect_s": step * _STEP, "longest_wait_s": longest}


def rolling_restart(cluster: Cluster) -> dict[str, float]:
    """``surge`` replicas at a time are replaced; the people of one leave it while it drains, and come to all others.

    New replicas begin without people, and nobody moves to them who is connected to another one.
    """
    plan, costs = cluster.plan, cluster.costs
    people = [float(count) for count in cluster.people()]
    per_person = (statistics.fmean(cluster.work()) - costs.replica_us / 1e6) / statistics.fmean(people)
    bytes_each = (statistics.fmean(cluster.memory()) - costs.replica_bytes) / statistics.fmean(people)
    join = cluster.join(statistics.fmean(cluster.sizes))
    waiting = [0.0] * plan.replicas
    old, time = deque(range(plan.replicas)), 0.0
    next_at = longest = storm = 0.0
    most_people, busiest = max(people), max(cluster.work())
    # How many leave in each of the next steps, and how many come in each.
    leaving, coming = deque([0.0] * _steps(_DRAIN_SECONDS)), deque([0.0] * _steps(LAST_PAUSE_SECONDS))
    while old or max(leaving) > 0 or max(coming) > 0 or max(waiting) > 0:
        if old and time >= next_at:
            for replica in [old.popleft() for _ in range(min(plan.surge, len(old)))]:
                leaving = deque(others + people[replica] / len(leaving) for others in leaving)
                # From here on this is its successor.
                people[replica] = waiting[replica] = 0.0
            next_at = time + _START_SECONDS
        gone, pauses = leaving.popleft(), range(_steps(FIRST_PAUSE_SECONDS), _steps(LAST_PAUSE_SECONDS))
        for step in pauses:
            coming[step] += gone / len(pauses)
        arriving = coming.popleft()
        leaving.append(0.0)
        coming.append(0.0)
        each = arriving / plan.replicas
        for replica in range(plan.replicas):
            people[replica] += each
            busy = costs.replica_us / 1e6 + people[replica] * per_person
            waiting[replica] = max(0.0, waiting[replica] + each * join - _free(busy) * _STEP)
            busiest = max(busiest, busy + each * join / _STEP)
        most_people, longest, storm = max(most_people, *people), max(longest, *waiting), max(storm, arriving / _STEP)
        time += _STEP
    return {
        "seconds": time,
        "joins_per_second": storm,
        "most_people": most_people,
        "most_memory_mb": (costs.replica_bytes + most_people * bytes_each) / 1e6,
        "busiest": busiest,
        "longest_wait_s": longest,
        "people_after": sum(people),
    }


def lost_primary(cluster: Cluster) -> dict[str, float]:
    """Redis loses a primary, and a replica of it takes its place.

    Meanwhile changes of its sessions fail, and each client repeats its one until it is acknowledged. Then each replica
    with members of these sessions subscribes again and reads each once.
    """
    plan, costs, work = cluster.plan, cluster.costs, cluster.work()
    own = [index for index, primary in enumerate(cluster.primary_of) if primary == 0]
    repeated = sum(min(cluster.sizes[index], plan.changes * _FAILOVER_SECONDS) for index in own)
    reads = Counter(replica for index in own for replica in cluster.places[index])
    in_redis = cluster.redis_change(statistics.fmean(map(len, cluster.places)))
    to_do = repeated * in_redis + reads.total() * costs.redis_restored_us / 1e6
    redis_seconds = to_do / _free(plan.changes * len(own) * in_redis)
    change = cluster.change(statistics.fmean(cluster.sizes), statistics.fmean(map(len, cluster.places)))
    replica_seconds = max(
        (reads[replica] * costs.restored_us / 1e6 + repeated / plan.replicas * change) / _free(work[replica])
        for replica in range(plan.replicas)
    )
    return {
        "sessions": len(own),
        "changes_repeated": repeated,
        "sessions_read_again": reads.total(),
        "redis_catches_up_s": redis_seconds,
        "replicas_catch_up_s": replica_seconds,
        "recovered_after_s": _FAILOVER_SECONDS + _SUBSCRIBE_SECONDS + redis_seconds + replica_seconds,
    }


def main() -> None:
    cluster = Cluster(_plan())
    people, work, redis = cluster.people(), cluster.work(), cluster.redis_work()
    memory = cluster.memory()
    changes = cluster.plan.changes * len(cluster.sizes)
    print(f"{sum(people):,} people in {len(cluster.sizes):,} sessions, the largest of {max(cluster.sizes):,}")
    print(f"{changes:,.0f} changes a second; a session is on {statistics.fmean(map(len, cluster.places)):.2f} replicas")
    _tell("people of a replica", {"mean": statistics.fmean(people), "most": max(people)})
    _tell("memory of a replica, MB", {"mean": statistics.fmean(memory) / 1e6, "most": max(memory) / 1e6})
    _tell("replica busy", {"mean": statistics.fmean(work), "most": max(work)})
    _tell("primary busy", {"mean": statistics.fmean(redis), "most": max(redis)})
    for title, busy, rate in (
        ("changes at the mean replica", statistics.fmean(work), changes / cluster.plan.replicas),
        ("changes at the busiest replica", max(work), changes / cluster.plan.replicas),
        ("changes at the busiest primary", max(redis), changes / cluster.plan.primaries),
    ):
        _tell(title, queueing(rate, busy / rate, cluster.random))
    _tell("a replica is lost", lost_replica(cluster))
    _tell("a rolling restart", rolling_restart(cluster))
    _tell("a primary is lost", lost_primary(cluster))


def _tell(title: str, figures: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:,.4g}" for name, value in figures.items()), flush=True)


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=(__doc__ or "").partition("\n")[0])
    for name, text in (
        ("people", "people"),
        ("replicas", "replicas"),
        ("primaries", "primaries of the Cluster"),
        ("changes", "changes a second in each session"),
        ("surge", "replicas that a rolling restart replaces at a time"),
        ("seed", "of the random numbers"),
    ):
        default = getattr(Plan(), name)
        parser.add_argument(f"--{name}", type=type(default), default=default, metavar="N", help=f"{text} ({default:,})")
    parser.add_argument("--patches", action="store_true", help="clients ask for patches")
    parser.add_argument("--affinity", dest="has_affinity", action="store_true", help="sessions are kept together")
    return Plan(**vars(parser.parse_args()))


def _steps(seconds: float) -> int:
    return round(seconds / _STEP)


def _free(busy: float) -> float:
    return max(_MIN_FREE, 1 - busy)


if __name__ == "__main__":
    main()
