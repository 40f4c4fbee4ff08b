"""Processes on cores of their own, and what they take: the server on one, Redis and the load on the other."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

__all__ = [
    "LOAD_CORE",
    "SERVER_CORE",
    "CoreTime",
    "core_time",
    "cpu_seconds",
    "description",
    "free_port",
    "load_average",
    "resident_kb",
    "running",
    "unshared_kb",
    "wait_for_port",
]

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class CoreTime:
    """What a core has done since the machine started, in ticks."""

    idle: int
    total: int

    def busy_since(self, before: CoreTime) -> float:
        """The share of the time between in which the core worked."""
        return 1 - (self.idle - before.idle) / max(1, self.total - before.total)


@contextmanager
def running(
    core: int,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: int | IO[str] = subprocess.DEVNULL,
    errors: int | IO[str] = subprocess.DEVNULL,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run the command on a core while in the context; it gets SIGTERM in the end."""
    with subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *command],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        cwd=folder,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    """Return when the process takes connections; raises RuntimeError when it does not get there."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not listen")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Time on a processor of a process with all its threads and children."""
    threads = [task for process in _tree(pid) for task in Path(f"/proc/{process}/task").glob("*")]
    return sum(int(_read(task / "schedstat").split()[0] or 0) for task in threads if _read(task / "schedstat")) / 1e9


def resident_kb(pid: int) -> int:
    return _status_kb(pid, "VmRSS:")


def unshared_kb(pid: int) -> int:
    """The memory of a process without that of files, which the kernel can take back."""
    return _status_kb(pid, "RssAnon:")


def core_time(core: int) -> CoreTime:
    line = next(line for line in _read(Path("/proc/stat")).splitlines() if line.startswith(f"cpu{core} "))
    ticks = [int(word) for word in line.split()[1:9]]
    return CoreTime(idle=ticks[3] + ticks[4], total=sum(ticks))


def load_average() -> float:
    return os.getloadavg()[0]


def description() -> str:
    """Processor, cores and kernel."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def _status_kb(pid: int, field: str) -> int:
    lines = [line for process in _tree(pid) for line in _read(Path(f"/proc/{process}/status")).splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))


def _tree(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        process = waiting.pop()
        found.append(process)
        for task in Path(f"/proc/{process}/task").glob("*"):
            waiting += map(int, _read(task / "children").split())
    return found


def _read(path: Path) -> str:
    """The content, or nothing of a process that has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
