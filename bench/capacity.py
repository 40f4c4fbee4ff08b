"""What people, sessions and changes cost: the constants of ``app/capacity.py``, and whether they predict a larger run.

    python -m bench.capacity measure [ROUNDS]    2,000 people in several shapes; prints the constants
    python -m bench.capacity predict             2,000 and 10,000 people, beside what the constants predict

Two replicas, each on a core of its own, share a Redis that writes each change to disk. People connect by WebSocket and
join, then do nothing, then vote; then the replicas lose their subscriptions, and at last one replica is killed, whose
people connect to the other one. Times are those that processes spent on processors. On a busy machine the time to
reconnect means little, unless the command has a real-time priority (``chrt --rr 1``).
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import IO, Final

from redis import Redis

from app.capacity import Constants, Load, estimate
from bench import loads, machine
from bench.fit import constants
from bench.prerequisites import CROWD, prepare_load
from bench.servers import Server, serving, surroundings
from bench.shapes import HEARTBEAT_SECONDS, LARGE, SHAPES, Measured, Shape
from bench.simulate import Cluster, Plan, lost_replica

__all__ = ["measure"]

MOVIES: Final = 12
_VOTERS: Final = 100
# Where writing is not slowed down by others.
_MEMORY: Final = Path("/dev/shm")
_TOLERANCE: Final = 0.25
_WINDOW_SECONDS: Final = 2 * HEARTBEAT_SECONDS
_SETTLING_SECONDS: Final = 4
_PAUSE_SECONDS: Final = 2
_MAX_SECONDS: Final = 120
# Calls that the measurement itself makes.
_OURS: Final = ("cmdstat_info", "cmdstat_client|kill")


def main() -> int:
    mode, *numbers = sys.argv[1:] or ["measure"]
    prepare_load()
    if mode == "measure":
        print_constants(_measured(int(numbers[0]) if numbers else 3))
        return 0
    if mode == "predict":
        near = [predicts(shape, measure(shape)) for shape in (SHAPES[0], *LARGE)]
        return 0 if all(near) else 1
    print(__doc__, file=sys.stderr)
    return 2


def _measured(rounds: int) -> Constants:
    measured: dict[Shape, list[Measured]] = defaultdict(list)
    saturated = []
    for _ in range(rounds):
        saturated.append(saturate())
        for shape in SHAPES:
            measured[shape].append(measure(shape))
            print(shape, measured[shape][-1], flush=True)
    return constants(measured, redis_saturated=statistics.median(saturated))


def print_constants(found: Constants) -> None:
    """As ``app/capacity.py`` and docs/scaling.md have them."""
    for name, value in asdict(found).items():
        print(f"    {name}={_shown(value)},")


def _shown(value: float) -> str:
    return f"{float(f'{value:.3g}'):_.12g}"


def predicts(shape: Shape, measured: Measured) -> bool:
    """Print what was measured beside what the constants predict; return whether all are as near as they should be."""
    load = Load(shape.people, shape.size, shape.changes, shape.patches, ping_interval=HEARTBEAT_SECONDS)
    found, changing = estimate(load, shape.replicas), measured.changes
    # While a replica is lost nobody votes.
    quiet = replace(load, changes=0)
    reconnecting = estimate(quiet, shape.replicas).reconnect_seconds or 0.0
    simulated = lost_replica(Cluster(_plan(quiet, shape.replicas)))["reconnect_s"]
    rows = {
        "CPU of the replicas, cores": (found.replica_cores, measured.idle + changing * measured.change),
        "memory of a replica, MB": (found.memory_per_replica / 1e6, measured.memory / 1e6),
        "CPU of Redis, cores": (found.redis_cores, measured.idle_redis + changing * measured.change_redis),
        "memory of Redis, MB": (found.redis_memory / 1e6, measured.redis_memory / 1e6),
        "Redis calls a second": (
            found.redis_calls_per_second,
            measured.idle_calls + changing * measured.change_calls,
        ),
        "bytes to clients a second": (
            found.client_bytes_per_second,
            changing * measured.updates * measured.update_bytes,
        ),
        "seconds to reconnect": (reconnecting, measured.reconnecting_seconds),
        "the same, simulated": (simulated, measured.reconnecting_seconds),
    }
    print(f"{shape.people:,} people, {'patches' if shape.patches else 'whole updates'}")
    for title, (predicted, seen) in rows.items():
        print(f"| {title} | {predicted:,.3g} | {seen:,.3g} | {predicted / seen - 1:+.0%} |", flush=True)
    return all(abs(predicted / seen - 1) <= _TOLERANCE for predicted, seen in rows.values())


def _plan(load: Load, replicas: int) -> Plan:
    return Plan(
        load.people,
        replicas,
        1,
        load.changes,
        patches=load.patches,
        mean=load.session_size,
        same_size=True,
        ping_interval=load.ping_interval,
    )


def saturate() -> float:
    """The time on a processor that Redis takes for a change, while it and a replica are as busy as they can be."""
    with _stage() as stage:
        here, _ = stage.servers
        codes = here.create(_VOTERS, movies=MOVIES)
        before = stage.used()
        done = loads.votes(here, codes, clients=_VOTERS, rooms=_VOTERS, movies=MOVIES, seconds=HEARTBEAT_SECONDS)
        return stage.used().since(before).redis / done.done


@dataclass(frozen=True, slots=True)
class _Used:
    """Seconds, of which so many on processors by the replicas and by Redis; and calls of Redis and its bytes."""

    seconds: float
    cpu: float
    redis: float
    calls: float
    sent: float
    received: float

    def since(self, before: _Used) -> _Used:
        return self._with(before, -1)

    def beyond(self, idle: _Used) -> _Used:
        """What was used besides what is used in so many seconds when nothing happens."""
        return self._with(idle, -self.seconds / idle.seconds)

    def _with(self, other: _Used, factor: float) -> _Used:
        return _Used(*(own + factor * its for own, its in zip(astuple(self), astuple(other), strict=True)))


class _Stage:
    """Two replicas and their Redis."""

    def __init__(self, servers: Sequence[Server], redis_pid: int, redis: Redis) -> None:
        self.servers = servers
        self._redis_pid = redis_pid
        self.redis = redis

    def used(self) -> _Used:
        info = self.redis.info("all")
        return _Used(
            seconds=time.monotonic(),
            cpu=sum(machine.cpu_seconds(server.pid) for server in self.servers),
            redis=machine.cpu_seconds(self._redis_pid),
            calls=sum(
                told["calls"] for name, told in info.items() if name.startswith("cmdstat_") and name not in _OURS
            ),
            sent=info["total_net_output_bytes"],
            received=info["total_net_input_bytes"],
        )

    def memory(self, replicas: int) -> float:
        """The mean of those that people connect to."""
        return statistics.fmean(machine.unshared_kb(server.pid) * 1024 for server in self.servers[:replicas])

    def redis_memory(self) -> float:
        used: int = self.redis.info("memory")["used_memory"]
        return used


class _Crowd:
    """The people: ``bench/load/crowd.c``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, people: int, rate: float = 0) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(f"{people} {rate}\n")
        stdin.flush()

    def heard(self) -> dict[str, float]:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise RuntimeError("the load has ended")
        told: dict[str, float] = json.loads(line)
        return told

    def until_joined(self, people: int) -> None:
        began = time.monotonic()
        while self.heard()["joined"] < people:
            if time.monotonic() - began > _MAX_SECONDS:
                raise RuntimeError("not everybody has joined")

    def during(self, seconds: float) -> dict[str, float]:
        """What was told meanwhile, summed up."""
        sums: dict[str, float] = defaultdict(float)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, value in self.heard().items():
                sums[name] += value
        return sums


def measure(shape: Shape) -> Measured:
    with _stage() as stage:
        redis_before = stage.redis_memory()
        codes = stage.servers[0].create(shape.sessions, movies=MOVIES)
        time.sleep(_PAUSE_SECONDS)
        memory_before, before = stage.memory(shape.replicas), stage.used()
        time.sleep(_SETTLING_SECONDS)
        empty = stage.used().since(before)
        with _crowd(stage, codes, shape) as crowd:
            before = stage.used()
            crowd.tell(shape.people)
            crowd.until_joined(shape.people)
            crowd.during(_SETTLING_SECONDS)
            joined, before, redis_memory = stage.used().since(before), stage.used(), stage.redis_memory() - redis_before
            crowd.during(_WINDOW_SECONDS)
            idle = stage.used().since(before)
            crowd.tell(shape.people, shape.sessions * shape.changes)
            crowd.during(_PAUSE_SECONDS)
            before = stage.used()
            told = crowd.during(_WINDOW_SECONDS)
            changed, memory = stage.used().since(before), stage.memory(shape.replicas)
            crowd.tell(shape.people, 0)
            crowd.during(_PAUSE_SECONDS)
            before = stage.used()
            stage.redis.client_kill_filter(_type="pubsub")
            crowd.during(_SETTLING_SECONDS)
            restored = stage.used().since(before)
            seconds, reconnected = _reconnect(stage, crowd, shape.people) if shape.replicas > 1 else (0, 0)
    changes, mirrored = told["acks"], shape.sessions * shape.replicas
    joining, changing, restoring = joined.beyond(idle), changed.beyond(idle), restored.beyond(idle)
    return Measured(
        empty=empty.cpu / empty.seconds,
        empty_redis=empty.redis / empty.seconds,
        empty_calls=empty.calls / empty.seconds,
        idle=idle.cpu / idle.seconds,
        idle_redis=idle.redis / idle.seconds,
        idle_calls=idle.calls / idle.seconds,
        join=joining.cpu / shape.people,
        join_redis=joining.redis / shape.people,
        join_calls=joining.calls / shape.people,
        change=changing.cpu / changes,
        change_redis=changing.redis / changes,
        change_calls=changing.calls / changes,
        changes=changes / changed.seconds,
        updates=told["updates"] / changes,
        update_bytes=told["bytes"] / max(1, told["updates"]),
        redis_sent=changed.sent / changes,
        redis_received=changed.received / changes,
        restored=restoring.cpu / mirrored,
        restored_redis=restoring.redis / mirrored,
        reconnected=reconnected,
        reconnecting_seconds=seconds,
        memory_before=memory_before,
        memory=memory,
        redis_memory=redis_memory,
    )


def _reconnect(stage: _Stage, crowd: _Crowd, people: int) -> tuple[float, float]:
    """Kill a replica; return the seconds until all have joined again, and what each took of the other replica."""
    survivor, victim = stage.servers
    lost = 0.0
    before, began = machine.cpu_seconds(survivor.pid), time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    while True:
        told = crowd.heard()
        lost += told["lost"]
        if told["complete_at"] > began:
            return told["complete_at"] - began, (machine.cpu_seconds(survivor.pid) - before) / lost


@contextmanager
def _stage() -> Iterator[_Stage]:
    with (
        tempfile.TemporaryDirectory(
            prefix="join-session-capacity-", dir=_MEMORY if _MEMORY.exists() else None
        ) as folder,
        surroundings(Path(folder), persistent=True) as around,
        serving("ours-measured", around, core=machine.SERVER_CORE) as here,
        serving("ours-measured", around, core=machine.LOAD_CORE) as there,
        Redis(port=around.redis_port) as redis,
    ):
        yield _Stage((here, there), around.redis_pid, redis)


@contextmanager
def _crowd(stage: _Stage, codes: Path, shape: Shape) -> Iterator[_Crowd]:
    asked = ["--deflate", *(["--patches"] if shape.patches else [])]
    ports = [str(server.port) for server in stage.servers[: shape.replicas]]
    command = (str(CROWD), *asked, str(codes), "0", str(MOVIES), "0", *ports)
    with machine.running(machine.LOAD_CORE, command, output=subprocess.PIPE, errors=sys.stderr) as process:
        yield _Crowd(process)


if __name__ == "__main__":
    sys.exit(main())
