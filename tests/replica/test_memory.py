"""The memory limit of a process, read from folders that look like those of the kernel, and what follows from it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from app.replica.caps import Caps, find_caps
from app.replica.memory import find_memory
from app.settings import Settings
from tests.harness.cgroups import memory_group

MIB: Final = 2**20
# The largest number of cgroup v1.
UNLIMITED: Final = "9223372036854771712"
POD: Final = "kubepods/burstable/pod0f4c3a52-77b1-4a46-8c6a-5b9a2f1c9e0d/4be1f6a0c4b1"
STAT_V2: Final = """\
anon 62914560
file 31457280
kernel 4194304
sock 1048576
shmem 1048576
inactive_anon 62914560
active_anon 1048576
inactive_file 10485760
active_file 20971520
unevictable 0
"""
STAT_V1: Final = """\
cache 31457280
rss 62914560
inactive_file 1
active_file 1
hierarchical_memory_limit 167772160
total_cache 31457280
total_rss 62914560
total_inactive_anon 62914560
total_active_anon 1048576
total_inactive_file 10485760
total_active_file 20971520
"""
V2: Final = {"memory.current": f"{100 * MIB}\n", "memory.stat": STAT_V2}
V1: Final = {"memory.usage_in_bytes": f"{100 * MIB}\n", "memory.stat": STAT_V1}
LINES_V1: Final = "12:cpu,cpuacct:/{0}\n11:pids:/{0}\n4:memory:/{0}\n1:name=systemd:/{0}\n0::/{0}\n"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def within(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"sys/fs/cgroup/{folder}/{name}": text for name, text in files.items()}


def limit_of(root: Path, files: dict[str, str]) -> int | None:
    memory = find_memory(root=written(root, files))
    if memory is None:
        return None
    # A hundred MiB, of which thirty are files.
    assert memory.used() == 70 * MIB
    return memory.limit


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        # A container with a cgroup namespace: its cgroup is the root of what it sees.
        ("0::/\n", within("", V2 | {"memory.max": "167772160\n"}), 160 * MIB),
        ("0::/\n", within("", V2 | {"memory.max": "max\n"}), None),
        # A process of systemd, in a slice with a limit of its own.
        (
            "0::/system.slice/join.service\n",
            within("system.slice/join.service", V2 | {"memory.max": "max\n"})
            | within("system.slice", V2 | {"memory.max": "536870912\n"}),
            512 * MIB,
        ),
        (
            "0::/system.slice/join.service\n",
            within("system.slice/join.service", V2 | {"memory.max": "167772160\n"})
            | within("system.slice", V2 | {"memory.max": "536870912\n"}),
            160 * MIB,
        ),
        # The root of a machine has no such files.
        ("0::/\n", within("", {"cgroup.controllers": "memory\n"}), None),
        # A container without a namespace sees the path outside, at which there is nothing inside.
        (f"0::/../../{POD}\n", within("", V2 | {"memory.max": "167772160\n"}), 160 * MIB),
        (
            LINES_V1.format(POD),
            within("memory", V1 | {"memory.limit_in_bytes": "167772160\n"}),
            160 * MIB,
        ),
        (
            LINES_V1.format(POD),
            within(f"memory/{POD}", V1 | {"memory.limit_in_bytes": "167772160\n"})
            | within("memory", V1 | {"memory.limit_in_bytes": UNLIMITED}),
            160 * MIB,
        ),
        (LINES_V1.format(""), within("memory", V1 | {"memory.limit_in_bytes": f"{UNLIMITED}\n"}), None),
        # Both at once: the memory belongs to v1.
        (
            "4:memory:/docker/4be1\n0::/docker/4be1\n",
            within("memory", V1 | {"memory.limit_in_bytes": "167772160\n"})
            | within("unified", {"cgroup.procs": "1\n"}),
            160 * MIB,
        ),
    ],
)
def test_the_limit_is_the_smallest_of_the_cgroups_that_a_process_is_in(
    tmp_path: Path, cgroup: str, files: dict[str, str], limit: int | None
) -> None:
    assert limit_of(tmp_path, files | {"proc/self/cgroup": cgroup}) == limit


def test_there_is_no_limit_where_the_kernel_says_nothing(tmp_path: Path) -> None:
    assert find_memory(root=tmp_path) is None
    assert find_memory(MIB, root=tmp_path) is None
    written(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "167772160\n"})
    assert find_memory(root=tmp_path) is None


def test_a_limit_of_the_settings_holds_for_the_process_alone(tmp_path: Path) -> None:
    written(tmp_path, {"proc/self/statm": "347000 30000 10000 1 0 60000 0\n"})
    memory = find_memory(64 * MIB, root=tmp_path)
    assert memory is not None
    assert (memory.limit, memory.used()) == (64 * MIB, 20_000 * resource.getpagesize())


_TELL: Final = """
import sys
from app.replica.memory import find_memory
sys.stdin.readline()
memory = find_memory()
print(memory and memory.limit, memory and memory.used())
"""


def test_the_kernel_has_its_files_where_they_are_looked_for() -> None:
    command = [sys.executable, "-c", _TELL]
    with (
        memory_group(96 * MIB) as group,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        group.add(process.pid)
        limit, used = process.communicate("\n", timeout=30)[0].split()
    # Some machines let nobody make a group.
    if group.path is not None:
        assert int(limit) == 96 * MIB
        assert 0 < int(used) < 96 * MIB


@pytest.mark.parametrize(
    ("limit", "caps"),
    [
        (128 * MIB, Caps(1872, 2808)),
        (160 * MIB, Caps(2925, 4387)),
        (256 * MIB, Caps(6085, 9127)),
        (512 * MIB, Caps(14_511, 21_766)),
        (2048 * MIB, Caps(20_000, 30_000)),
        (None, Caps(20_000, 30_000)),
        # Less than a replica needs: it does what it can.
        (32 * MIB, Caps(100, 1000)),
    ],
)
def test_the_caps_follow_from_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int | None, caps: Caps) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert find_caps(Settings(_env_file=None), limit) == caps


def test_a_cap_of_the_settings_is_taken_as_it_is() -> None:
    assert find_caps(Settings(_env_file=None, max_connections=7), 160 * MIB) == Caps(7, 1000)
    assert find_caps(Settings(_env_file=None, max_connections=7, max_tcp_connections=5), 160 * MIB) == Caps(7, 5)


def test_a_quarter_of_the_file_descriptors_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    assert find_caps(Settings(_env_file=None), None) == Caps(768, 768)
