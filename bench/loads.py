"""What is done to a server, by load generators on the core beside it; each measures the server's time meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench import machine
from bench.prerequisites import BENCH, NODE, SOCKETS
from bench.servers import Server

__all__ = ["Measured", "connected", "fan", "http_joins", "joins", "paced_votes", "stock_joins", "votes"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load did, and what its server took meanwhile, in seconds on a processor.

    ``busy`` is the share of the time in which the load's core worked, ``received`` the bytes that came over WebSockets.
    """

    done: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu: float
    busy: float
    received: int

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds on a processor for each thing done."""
        return self.cpu * 1e6 / max(1, self.done)

    @property
    def received_kb(self) -> float:
        """Kilobytes that came over WebSockets for each thing done."""
        return self.received / 1000 / max(1, self.done)


def http_joins(server: Server, codes: Path, *, connections: int, seconds: float) -> Measured:
    command = ("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s")
    script = ("-s", str(BENCH / "load" / "join.lua"), f"http://127.0.0.1:{server.port}/api/session/join")
    cpu, core = machine.cpu_seconds(server.pid), machine.core_time(machine.LOAD_CORE)
    with machine.running(
        machine.LOAD_CORE, (*command, *script), environment={"CODES": str(codes)}, output=subprocess.PIPE
    ) as process:
        told, _ = process.communicate()
    busy = machine.core_time(machine.LOAD_CORE).busy_since(core)
    line = next(line for line in told.splitlines() if line.startswith("{"))
    return _measured(json.loads(line), machine.cpu_seconds(server.pid) - cpu, busy)


def joins(server: Server, codes: Path, count: int) -> Measured:
    """Connect by WebSocket, join and leave, fifty at a time."""
    return _watched(server, _sockets("join", server, codes, count, 50))


def stock_joins(server: Server, codes: Path, count: int, *, at_once: int) -> Measured:
    """The same by stock clients with their default transports."""
    script = (str(NODE), str(BENCH / "load" / "stock_clients.js"))
    return _watched(server, (*script, f"http://127.0.0.1:{server.port}", str(codes), str(count), str(at_once)))


def fan(
    server: Server,
    codes: Path,
    *,
    clients: int,
    rooms: int,
    movies: int,
    rounds: int,
    gap_ms: int,
    sender: Server | None = None,
    watched: Server | None = None,
) -> Measured:
    """A vote in each room, which everybody in it sees, again and again; ``sender`` is the replica of those who vote.

    The time taken is that of ``watched``, which is ``server`` where it is not given.
    """
    numbers = (clients, rooms, movies, rounds, gap_ms, sender.port if sender else 0)
    return _watched(watched or server, _sockets("fan", server, codes, *numbers))


def votes(server: Server, codes: Path, *, clients: int, rooms: int, movies: int, seconds: float) -> Measured:
    """Everybody votes again as soon as a vote is acknowledged."""
    return _watched(server, _sockets("votes", server, codes, clients, rooms, movies, seconds))


def paced_votes(
    server: Server, codes: Path, *, clients: int, rooms: int, movies: int, seconds: float, rate: float
) -> Measured:
    """``rate`` votes a second in all, which all in their rooms see; times are from the acknowledgment to that."""
    return _watched(server, _sockets("pace", server, codes, clients, rooms, movies, seconds, rate))


@contextmanager
def connected(server: Server, codes: Path, clients: int, rooms: int) -> Iterator[None]:
    """Clients that have joined and do nothing while in the context."""
    command = _sockets("idle", server, codes, clients, rooms)
    with machine.running(machine.LOAD_CORE, command, output=subprocess.PIPE, errors=sys.stderr) as process:
        _until("begin", process)
        yield


def _sockets(mode: str, server: Server, codes: Path, *numbers: float) -> tuple[str, ...]:
    asked = [f"--{option}" for option in server.clients_ask_for]
    return (str(SOCKETS), *asked, mode, str(server.port), str(codes), *map(str, numbers))


def _watched(server: Server, command: tuple[str, ...]) -> Measured:
    with machine.running(machine.LOAD_CORE, command, output=subprocess.PIPE, errors=sys.stderr) as process:
        _until("begin", process)
        cpu, core = machine.cpu_seconds(server.pid), machine.core_time(machine.LOAD_CORE)
        _until("end", process)
        cpu = machine.cpu_seconds(server.pid) - cpu
        busy = machine.core_time(machine.LOAD_CORE).busy_since(core)
        return _measured(json.loads(_stream(process.stdout).readline()), cpu, busy)


def _until(word: str, process: subprocess.Popen[str]) -> None:
    if _stream(process.stdout).readline().strip() != word:
        raise RuntimeError(f"the load failed before its {word}")


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _measured(told: Mapping[str, float], cpu: float, busy: float) -> Measured:
    return Measured(
        done=int(told["done"]),
        failed=int(told["failed"]),
        seconds=told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        cpu=cpu,
        busy=busy,
        received=int(told.get("bytes", 0)),
    )
