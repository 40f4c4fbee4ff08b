"""Names and phrases that the project has retired stay retired, in code, comments, log messages, help and documents."""

from __future__ import annotations

import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

# Retired names in Python, each with its successor.
NAMES: Final = {
    r"_?LAST_WORDS": "SHUTDOWN_GRACE_SECONDS, FINAL_RESPONSE_TIMEOUT",
    r"_?(PATIENCE|patience)\w*": "timeout",
    r"_?hops?|Hop": "ForwardedRequest",
    r"Lanes?": "ConnectionPool",
    r"breakable": "interruptible",
    r"_?[Vv]ouchers?": "RequestSigner",
    r"_news|_?MOST_NEWS": "_pending_announcements, MAX_SPAN_LINKS",
    r"stay": "membership_id",
    r"farewell": "final_packet",
    r"_homeless|_find_homes|_rehome": "_unassigned, _assign",
    r"_Feed": "_ServerSubscriptions",
    r"heed": "on_error",
    r"parting": "with_drain_headers",
    r"bury|resign": "forget, deregister",
    r"vanish": "disconnected",
    r"answering": "client_errors",
    r"_?fates?|_FATES": "end_reason",
    r"_?hurry|_?hurried": "stop_now",
    r"_insist": "retry_until_done",
    r"_TIE": "die_with_parent",
    r"_greet": "_handshake",
    r"_(MOST|LEAST|LONGEST|SHORTEST)(_\w+)?": "MAX_..., MIN_...",
    r"MISUSED": "USAGE_ERROR",
    r"_call_patiently": "_call_with_retries",
    r"_OURSELVES|_TIME_TO_SAY_SO": "a name that says what it is",
}

# Retired phrases, each with its successor.
PHRASES: Final = {
    "redis is away": "Redis is unavailable",
    "redis is back": "Redis is available again",
    "redis and we do not understand each other": "unexpected reply from Redis",
    "the lease runs out by itself": "cannot release the replica lease",
    "looking after a replica failed": "taking over a replica's sessions failed",
    "reaping goes on at the next renewal": "take-over paused; continues at next lease renewal",
    "a room stopped": "room task failed",
    "the last traces were not taken in time": "trace export timed out at shutdown",
    "everything was as it must be": "no violations",
    "nobody is left.": "all clients moved",
    "rooms of the house": "packages",
    "what to do when": "troubleshooting",
    "commands for people": "command line",
    "a user of its own": "a dedicated ACL user",
    "a session that waits for you": "a sample session",
    "without news of it": "without an update",
    "the pod of redis deleted": "Redis pod deleted",
    "the two ways in": "HTTP API and Socket.IO",
    "use it here": "continue in this tab",
    "start a new one": "start a session",
    "its time was over": "it ran out of time",
}

FILES: Final = [
    ROOT / name
    for name in subprocess.run(
        [
            "git",
            "ls-files",
            "app",
            "bench",
            "charts",
            "docs",
            "examples",
            "k8s",
            "tests",
            "README.md",
            "SECURITY.md",
            "CONTRIBUTING.md",
            "Makefile",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
]


def names_of(path: Path) -> Iterator[str]:
    with tokenize.open(path) as file:
        yield from (token.string for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.NAME)


@pytest.mark.parametrize("retired", NAMES)
def test_no_code_uses_a_retired_name(retired: str) -> None:
    used = {
        str(path.relative_to(ROOT)): name
        for path in FILES
        if path.suffix == ".py"
        for name in NAMES_OF[path]
        if re.fullmatch(retired, name)
    }
    assert used == {}, f"better: {NAMES[retired]}"


@pytest.mark.parametrize("retired", PHRASES)
def test_no_text_uses_a_retired_phrase(retired: str) -> None:
    using = [path for path in TEXTS if retired in TEXTS[path] and path != Path(__file__)]
    assert using == [], f"better: {PHRASES[retired]}"


NAMES_OF: Final = {path: frozenset(names_of(path)) for path in FILES if path.suffix == ".py"}
TEXTS: Final = {
    path: re.sub(r"\s+", " ", path.read_text(errors="ignore")).lower()
    for path in FILES
    if path.suffix not in (".png", ".lock")
}
