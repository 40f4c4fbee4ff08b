"""The scenarios: what is done to each server in a round, and which figures that gives."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from bench import loads, machine
from bench.servers import PEERS, Server, Surroundings, serving

__all__ = ["SCENARIOS", "Figures", "Row", "Scenario", "Stage"]

Figures = dict[str, float]

_ROOMS: Final = 1000
# With 200 participants, 62 KB in an update.
_MANY_MOVIES: Final = 80
_IMPORTS: Final = (
    "import hiredis, httptools, opentelemetry.trace, orjson, prometheus_client, pydantic, quart, redis.asyncio, "
    "socketio, uvicorn, uvloop, websockets.asyncio.client"
)


class Stage:
    """One server in one scenario: running through all rounds, or made anew in each."""

    def __init__(self, name: str, around: Surroundings, stack: ExitStack, *, small: bool) -> None:
        self.name = name
        self.small = small
        self._around = around
        self._stack = stack

    @cached_property
    def server(self) -> Server:
        """The server that is kept for all rounds, warm."""
        server = self._stack.enter_context(self.fresh())
        if self.small:
            return server
        codes = server.create(50)
        loads.http_joins(server, codes, connections=20, seconds=1)
        if PEERS[self.name].has_sockets:
            loads.joins(server, codes, 300)
        return server

    @cached_property
    def codes(self) -> Path:
        """Sessions of the server that is kept, without movies."""
        return self.server.create(self.size(_ROOMS))

    @contextmanager
    def fresh(self, *, waits: bool = True) -> Iterator[Server]:
        with serving(self.name, self._around, waits=waits) as server:
            yield server

    def size(self, number: int) -> int:
        """The number, or a small part of it where it only has to be seen that everything works."""
        return max(2, number // 20) if self.small else number


def http_joins(connections: int) -> Callable[[Stage], Figures]:
    def run(stage: Stage) -> Figures:
        codes = stage.codes
        done = loads.http_joins(stage.server, codes, connections=connections, seconds=1 if stage.small else 2)
        return _figures(done)

    return run


def socket_joins(stage: Stage) -> Figures:
    done = loads.joins(stage.server, stage.codes, stage.size(1500))
    time.sleep(0.5)
    return _figures(done)


def joins_beside(stage: Stage) -> Figures:
    """The others are in sessions of their own: what they are sent is another scenario."""
    with stage.fresh() as server:
        codes, others = server.create(stage.size(_ROOMS)), server.create(stage.size(_ROOMS))
        loads.joins(server, codes, stage.size(300))
        figures: Figures = {}
        for there in (100, 10_000):
            with loads.connected(server, others, stage.size(there), stage.size(there) // 10 or 1):
                done = loads.joins(server, codes, stage.size(1000))
            figures |= {f"cpu_us_{there}": done.cpu_us, f"p99_ms_{there}": done.p99_ms, "failed": done.failed}
            time.sleep(1)
    figures["growth"] = figures["cpu_us_10000"] / figures["cpu_us_100"]
    return figures


def stock_joins(at_once: int, count: int) -> Callable[[Stage], Figures]:
    def run(stage: Stage) -> Figures:
        return _figures(loads.stock_joins(stage.server, stage.codes, stage.size(count), at_once=at_once))

    return run


def fan_out(clients: int, rooms: int, rounds: int, gap_ms: int, movies: int = 10) -> Callable[[Stage], Figures]:
    """Everybody is a participant of their own, so that snapshots are as large as such a session's are."""

    def run(stage: Stage) -> Figures:
        used = min(rooms, stage.size(rooms))
        codes = stage.server.create(used, movies=movies)
        done = loads.fan(
            stage.server,
            codes,
            clients=max(used * 2, stage.size(clients)),
            rooms=used,
            movies=movies,
            rounds=stage.size(rounds),
            gap_ms=min(gap_ms, 100) if stage.small else gap_ms,
        )
        time.sleep(1)
        return _figures(done)

    return run


def steady_votes(clients: int, rooms: int, movies: int, *, votes_per_second: int) -> Callable[[Stage], Figures]:
    """So many votes in each room; everybody in it sees the result."""

    def run(stage: Stage) -> Figures:
        used = min(rooms, stage.size(rooms))
        members = max(used * 2, stage.size(clients))
        done = loads.paced_votes(
            stage.server,
            stage.server.create(used, movies=movies),
            clients=members,
            rooms=used,
            movies=movies,
            seconds=1 if stage.small else 10,
            rate=votes_per_second * used,
        )
        time.sleep(1)
        return {**_figures(done), "kb_per_second": done.received / 1000 / done.seconds / members}

    return run


def memory(stage: Stage) -> Figures:
    clients, seconds = stage.size(2000), 1 if stage.small else 5
    with stage.fresh() as server:
        codes = server.create(stage.size(_ROOMS))
        loads.joins(server, codes, stage.size(200))
        time.sleep(1)
        before = machine.resident_kb(server.pid)
        with loads.connected(server, codes, clients, stage.size(_ROOMS)):
            time.sleep(2)
            after = machine.resident_kb(server.pid)
            cpu = machine.cpu_seconds(server.pid)
            time.sleep(seconds)
            cpu = machine.cpu_seconds(server.pid) - cpu
        return {
            "kb_per_connection": (after - before) / clients,
            "base_mb": before / 1024,
            "idle_ms": cpu / seconds * 1000,
        }


def across_replicas(stage: Stage) -> Figures:
    """Members at one replica, voters at another; then votes that concern nobody at the first."""
    clients, rooms, rounds = stage.size(500), stage.size(50), stage.size(40)
    with stage.fresh() as here, stage.fresh() as there:
        codes = here.create(rooms, movies=1)
        seen = loads.fan(here, codes, clients=clients, rooms=rooms, movies=1, rounds=rounds, gap_ms=60, sender=there)
        time.sleep(1)
        others = stage.size(100)
        with loads.connected(here, here.create(1), 10, 1):
            foreign = loads.fan(
                there,
                there.create(others, movies=1),
                clients=others,
                rooms=others,
                movies=1,
                rounds=stage.size(100),
                gap_ms=60,
                watched=here,
            )
            before, began = machine.cpu_seconds(here.pid), time.monotonic()
            time.sleep(2)
            resting = (machine.cpu_seconds(here.pid) - before) / (time.monotonic() - began)
    # ``seen.done`` counts the voters, too, who are not at this replica.
    return {
        **_figures(seen),
        "cpu_us": seen.cpu_us * (clients + rooms) / clients,
        "foreign_us": (foreign.cpu - resting * foreign.seconds) * 1e6 / foreign.done,
    }


def saturating_votes(stage: Stage) -> Figures:
    clients = stage.size(100)
    codes = stage.server.create(clients, movies=30)
    seconds = 1 if stage.small else 4
    done = loads.votes(stage.server, codes, clients=clients, rooms=clients, movies=30, seconds=seconds)
    time.sleep(1)
    return _figures(done)


def start(stage: Stage) -> Figures:
    """From the command to the first join, when the interpreter's caches are warm."""
    with stage.fresh() as server:
        code = server.create(1).read_text().strip()
    began = time.perf_counter()
    with stage.fresh(waits=False) as server:
        _first_join(server.port, code)
        ready, cpu = time.perf_counter() - began, machine.cpu_seconds(server.pid)
        time.sleep(1)
        figures = {"ready_ms": ready * 1000, "cpu_ms": cpu * 1000, "mb": machine.resident_kb(server.pid) / 1024}
    if stage.name == "ours":
        began = time.perf_counter()
        subprocess.run(["taskset", "-c", str(machine.SERVER_CORE), sys.executable, "-c", _IMPORTS], check=True)
        figures["imports_ms"] = (time.perf_counter() - began) * 1000
    return figures


def work(stage: Stage) -> Figures:
    """Joins over HTTP and by sockets, for what observing them costs."""
    over_http = loads.http_joins(stage.server, stage.codes, connections=64, seconds=1)
    by_socket = loads.joins(stage.server, stage.codes, stage.size(600))
    failed = over_http.failed + by_socket.failed
    return {"http_us": over_http.cpu_us, "socket_us": by_socket.cpu_us, "failed": failed}


def _figures(done: loads.Measured) -> Figures:
    return {
        "rate": done.rate,
        "cpu_us": done.cpu_us,
        "p50_ms": done.p50_ms,
        "p99_ms": done.p99_ms,
        "failed": done.failed,
        "busy": done.busy,
        "kb": done.received_kb,
    }


def _first_join(port: int, code: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            body = json.dumps({"sessionID": code})
            connection.request("POST", "/api/session/join", body, {"Content-Type": "application/json"})
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.004)
        finally:
            connection.close()
    raise RuntimeError("nobody could join")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure that is shown. Its ratio is above 1 where the service does better, or is what something costs."""

    figure: str
    title: str
    better: Literal["more", "less", "cost", "shown"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``servers``: the first is what the others are compared to. ``peers``: further ones, where they are asked for.

    ``rate_matters``: the load's core may limit the figures, and not only what a server takes for each operation.
    """

    title: str
    run: Callable[[Stage], Figures]
    rows: tuple[Row, ...]
    servers: tuple[str, ...] = ("node", "ours")
    peers: tuple[str, ...] = ("bun", "socketioxide")
    rounds: int = 5
    rate_matters: bool = False


_CPU: Final = Row("cpu_us", "CPU, µs", "less")
_P99: Final = Row("p99_ms", "p99, ms", "less")
_RATE: Final = Row("rate", "per second", "more")
_FAILED: Final = Row("failed", "failed", "shown")

SCENARIOS: Final = {
    "A": Scenario(
        "HTTP join, 64 connections",
        http_joins(64),
        (_RATE, _CPU, _P99),
        ("express", "node-http", "ours"),
        rate_matters=True,
    ),
    "A200": Scenario(
        "HTTP join, 200 connections, budgets on",
        http_joins(200),
        (_RATE, _P99, _FAILED),
        ("express", "ours-limited"),
        (),
        rate_matters=True,
    ),
    "B": Scenario("Connect by WebSocket and join", socket_joins, (_CPU, _P99, _FAILED)),
    "B10k": Scenario(
        "The same beside 100 and 10,000 connections",
        joins_beside,
        (
            Row("cpu_us_100", "CPU beside 100, µs", "shown"),
            Row("cpu_us_10000", "CPU beside 10,000, µs", "shown"),
            Row("growth", "growth", "shown"),
            Row("p99_ms_10000", "p99 beside 10,000, ms", "shown"),
        ),
        ("ours",),
        (),
        rounds=3,
    ),
    "Bpolling": Scenario("Stock clients: polling, upgrade, join", stock_joins(20, 300), (_CPU, _FAILED)),
    "ack": Scenario(
        "Stock client, one at a time: `io()` to the first ack",
        stock_joins(1, 40),
        (Row("p50_ms", "p50, ms", "less"), _FAILED),
    ),
    "C500": Scenario(
        "Fan-out, a room of 500", fan_out(500, 1, 6, 800), (Row("cpu_us", "CPU per delivery, µs", "less"), _P99)
    ),
    "C10": Scenario(
        "Fan-out, 100 rooms of 10", fan_out(1000, 100, 20, 150), (Row("cpu_us", "CPU per delivery, µs", "less"), _P99)
    ),
    "C500large": Scenario(
        "Fan-out, a room of 500, updates of 62 KB",
        fan_out(500, 1, 6, 800, movies=_MANY_MOVIES),
        (Row("cpu_us", "CPU per delivery, µs", "less"), Row("kb", "KB per delivery", "less"), _P99),
        ("node", "ours", "ours-deflate"),
    ),
    "D": Scenario(
        "Idle connections that have joined",
        memory,
        (
            Row("kb_per_connection", "KB per connection", "less"),
            Row("base_mb", "MB without any", "shown"),
            Row("idle_ms", "CPU a second, ms", "shown"),
        ),
        rounds=3,
    ),
    "E": Scenario(
        "Two replicas, 50 rooms of 10",
        across_replicas,
        (
            Row("cpu_us", "CPU per delivery, µs", "less"),
            Row("foreign_us", "CPU per change that concerns nobody here, µs", "shown"),
        ),
        rounds=5,
    ),
    "G": Scenario(
        "A room of 1,000, 20 votes a second",
        steady_votes(1000, 1, 10, votes_per_second=20),
        (
            Row("kb_per_second", "KB a second for each member", "less"),
            Row("p99_ms", "p99 from the ack to seen, ms", "less"),
            Row("cpu_us", "CPU per vote, µs", "less"),
        ),
        ("node-coalescing", "ours-deflate", "ours-patches", "ours-patches-deflate"),
        ("bun-coalescing", "socketioxide-coalescing"),
        rate_matters=True,
    ),
    "H": Scenario(
        "200 sessions of 10, 30 movies, a vote a second in each",
        steady_votes(2000, 200, 30, votes_per_second=1),
        (
            Row("cpu_us", "CPU per vote, µs", "less"),
            Row("kb", "KB per vote", "less"),
            Row("p99_ms", "p99 from the ack to seen, ms", "shown"),
        ),
        ("node", "ours-deflate", "ours-patches", "ours-patches-deflate"),
        rate_matters=True,
    ),
    "I": Scenario(
        "Votes, one replica saturated",
        saturating_votes,
        (_RATE, _CPU, _P99),
        ("node-coalescing", "ours"),
        ("bun-coalescing", "socketioxide-coalescing"),
        rate_matters=True,
    ),
    "J": Scenario(
        "Start to the first join",
        start,
        (
            Row("ready_ms", "ms", "less"),
            Row("mb", "MB", "less"),
            Row("imports_ms", "ms of the libraries' imports alone", "shown"),
        ),
    ),
    "metrics": Scenario(
        "Cost of metrics",
        work,
        (Row("http_us", "CPU of an HTTP join, µs", "cost"), Row("socket_us", "CPU of a socket join, µs", "cost")),
        ("ours-without-metrics", "ours"),
        (),
        rounds=10,
    ),
    "lanes": Scenario(
        "Joins by ASGI and Quart",
        work,
        (Row("http_us", "CPU of an HTTP join, µs", "cost"), Row("socket_us", "CPU of a socket join, µs", "cost")),
        ("ours", "ours-without-lanes"),
        (),
        rounds=5,
    ),
    "traces": Scenario(
        "Cost of traces, 1 in 20",
        work,
        (Row("http_us", "CPU of an HTTP join, µs", "cost"), Row("socket_us", "CPU of a socket join, µs", "cost")),
        ("ours", "ours-traced"),
        (),
        rounds=10,
    ),
}
