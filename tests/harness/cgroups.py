"""Groups of processes with a limit of memory, as containers have."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["MemoryGroup", "memory_group"]

_V1: Final = Path("/sys/fs/cgroup/memory")
_V2: Final = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A cgroup, or where none can be made only a number: then `settings` tell a replica of it."""

    def __init__(self, limit: int, path: Path | None) -> None:
        self.path = path
        self.settings: dict[str, Any] = {} if path is not None else {"memory_limit": limit}

    def add(self, pid: int) -> None:
        if self.path is not None:
            (self.path / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """How often a process was killed because the limit was exceeded."""
        if self.path is None:
            return 0
        name = "memory.oom_control" if self.path.parent == _V1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)$", (self.path / name).read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """A group for processes that have ended when the block ends."""
    root, name = (_V1, "memory.limit_in_bytes") if _V1.is_dir() else (_V2, "memory.max")
    path = root / f"join-session-test-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        path.mkdir()
    except OSError:
        yield MemoryGroup(limit, None)
        return
    try:
        (path / name).write_text(str(limit))
        yield MemoryGroup(limit, path)
    finally:
        path.rmdir()
