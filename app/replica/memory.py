"""The memory that the process may use, and how much of it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

__all__ = ["Memory", "find_memory"]

# cgroup v1 has no word for "no limit": its largest number is that of the pages of the address space, in bytes.
_NO_LIMIT: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Memory:
    """``limit``: the bytes that may be in use. ``used`` returns those that are and that the kernel cannot take back."""

    limit: int
    used: Callable[[], int]


def find_memory(given: int | None = None, root: Path = Path("/")) -> Memory | None:
    """Return the memory for this process: up to ``given`` bytes, or what its cgroup allows; None without a limit.

    ``root``: the folder of ``/proc`` and ``/sys``.
    """
    if given is not None:
        used = partial(_unshared, root / "proc/self/statm")
        return Memory(given, used) if _is_readable(used) else None
    return min(_limited_groups(root), key=lambda memory: memory.limit, default=None)


def _limited_groups(root: Path) -> Iterator[Memory]:
    """The cgroup of this process and those around it, as far as they have limits and can be seen.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
    In a container the folder that is mounted is often that of its own cgroup, although the path is the one outside.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, files = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            mount, files = root / "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        own = Path(path.strip("/"))
        for group in (own, *own.parents):
            yield from _limited(mount / group, *files)


def _limited(group: Path, limit: str, usage: str, prefix: str) -> Iterator[Memory]:
    used = partial(_charged, group / usage, group / "memory.stat", prefix)
    try:
        text = (group / limit).read_text().strip()
    except OSError:
        return
    if text != "max" and int(text) < _NO_LIMIT and _is_readable(used):
        yield Memory(int(text), used)


def _charged(usage: Path, stat: Path, prefix: str) -> int:
    """The memory of a cgroup, that of the kernel for it included, without the cache of files."""
    numbers = dict(line.split() for line in stat.read_text().splitlines())
    cached = sum(int(numbers[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
    return max(0, int(usage.read_text()) - cached)


def _unshared(statm: Path) -> int:
    """The memory of this process without that of files."""
    _, resident, shared, *_ = map(int, statm.read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def _is_readable(used: Callable[[], int]) -> bool:
    try:
        used()
    except (OSError, KeyError, ValueError):
        return False
    return True
