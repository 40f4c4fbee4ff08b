"""The operators' commands, as they are typed."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from app.commands.tables import table
from app.commands.times import relative
from tests.harness.commands import run
from tests.harness.here import Here, served_here
from tests.harness.people import Api, movie
from tests.harness.ports import free_port
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.terminal import terminal
from tests.harness.waiting import until

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "operators.md").read_text()
TOKEN: Final = "the-operators-own-token"
TOKEN_SETTING: Final = "JOIN_SESSION_OPERATOR_TOKEN"


@pytest_asyncio.fixture
async def replica(redis_server: RedisServer) -> AsyncIterator[Here]:
    async with served_here(redis_server.url(), operator_token=TOKEN, drain_timeout=4) as [started]:
        yield started


def settings(replica: Here) -> dict[str, str]:
    """The environment of a pod."""
    return {TOKEN_SETTING: TOKEN, "JOIN_SESSION_INTERNAL_PORT": str(replica.internal_port)}


async def test_the_documented_commands_do_what_they_say(replica: Here, redis_server: RedisServer) -> None:
    api = Api([replica])
    made = await api.create(title="Friday", movies=[movie("m1", title="Alien")])
    host, guest = await Socket.open(replica.url), await Socket.open(replica.url)
    await host.emit("join-session", made.code, {"token": made.host_token, "name": "Ada"})
    joined = await guest.emit("join-session", made.code, {"name": "Bob"})
    await until(lambda: redis_server.call("ZCARD", "js:sessions"), "the session is listed")

    said = {}
    for line in re.findall(r"^join-session (.+?)(?: +#.*)?$", DOCUMENT, re.MULTILINE):
        words = line.replace("CODE", made.code).replace("PARTICIPANT", joined["participantID"]).split()
        done = await run(*words, environment=settings(replica))
        assert (done.code, done.err) == (0, ""), line
        said[line] = done.out
    assert said.keys() == {
        "list", "list --all --json", "show CODE", "kick CODE PARTICIPANT", "end CODE", "drain --wait"
    }  # fmt: skip
    heading, row = said["list"].splitlines()
    assert heading.split() == ["SESSION", "TITLE", "PEOPLE", "MOVIES", "VERSION", "CREATED", "EXPIRES"]
    assert row.split()[:4] == [made.code, "Friday", "2", "1"]
    assert json.loads(said["list --all --json"])["sessionID"] == made.code
    assert re.search(rf"^{joined['participantID']} +Bob +member +yes ", said["show CODE"], re.MULTILINE)
    assert re.search(r"^ +1 +Alien +0 +0 +0$", said["show CODE"], re.MULTILINE)
    assert (await guest.next("session-ended"))["reason"] == "kicked"
    assert (await host.next("session-ended"))["reason"] == "ended"
    await host.closed()
    await api.close()


async def test_the_documented_requests_are_answered(replica: Here) -> None:
    api = Api([replica])
    made = await api.create()
    await api.close()
    commands = re.findall(r"^curl .+$", DOCUMENT, re.MULTILINE)
    assert commands
    for command in commands:
        command = command.replace("CODE", made.code).replace("localhost:9090", f"127.0.0.1:{replica.internal_port}")
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-c", f"TOKEN={TOKEN}\n{command} -sS --fail"],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)


async def test_a_code_is_taken_as_people_paste_it(replica: Here) -> None:
    api = Api([replica])
    made = await api.create(title="Friday")
    await api.close()
    half = len(made.code) // 2
    for text in (f"{replica.url}/#{made.code}/tv", f"{made.code[:half]} {made.code[half:]}", f"#{made.code}"):
        done = await run("show", text, environment=settings(replica))
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Session {made.code}, Friday")
    ended = await run("end", f"{replica.url}/#{made.code}", environment=settings(replica))
    assert (ended.code, ended.err) == (0, "")


async def test_every_page_is_listed(replica: Here, redis_server: RedisServer) -> None:
    api = Api([replica])
    codes = {(await api.create()).code for _ in range(5)}
    await api.close()

    async def all_listed() -> bool:
        return int(await redis_server.call("ZCARD", "js:sessions")) == 5

    await until(all_listed, "all sessions are listed")
    first = await run("list", "--limit", "2", "--json", environment=settings(replica))
    every = await run("list", "--limit", "2", "--json", "--all", environment=settings(replica))
    assert len(first.out.splitlines()) == 2
    listed = [json.loads(line)["sessionID"] for line in every.out.splitlines()]
    assert (sorted(listed), every.err) == (sorted(codes), "")


async def test_what_cannot_be_done_is_one_line_and_a_code(replica: Here) -> None:
    here = settings(replica)
    port = "JOIN_SESSION_INTERNAL_PORT"
    for arguments, variables, code, text in (
        (("show", "2222222222"), here, 1, "Session not found or has expired"),
        (("end", "a b?c"), here, 1, "Session not found or has expired"),
        (("list", "--limit", "0"), here, 1, "Limit must be from 1 to 500"),
        (("list",), here | {TOKEN_SETTING: "not the right token"}, 1, "A valid token is required"),
        (("list",), here | {port: str(free_port())}, 1, "http://localhost:.* reached: Connection refused"),
        (("list", "--url", replica.url), here, 1, f"the operators' API is off at {replica.url}: .*{TOKEN_SETTING}"),
        (("list",), {port: here[port]}, 2, f"{TOKEN_SETTING} is not set"),
        (("list",), here | {"JOIN_SESSION_PROT": "1"}, 2, "JOIN_SESSION_PROT"),
    ):
        done = await run(*arguments, environment=variables)
        assert (done.code, done.out) == (code, ""), arguments
        assert re.match(text if code == 2 else f"join-session: {text}", done.err), done.err
        assert done.err.count("\n") == 1
    assert (await run("show", environment=here)).code == 2
    assert (await run("list", "--url", "ftp://h", environment=here)).code == 2


def test_a_table_fits_and_moves_no_cursor() -> None:
    rows = [("A\x1b[2J", 5), ("映画映画映画映画映画", 1000)]
    assert table(("NAME", "N"), rows) == "NAME                     N\n" + (
        "A\\x1b[2J                 5\n映画映画映画映画映画  1000"
    )
    narrow = table(("NAME", "N"), rows, width=16).splitlines()
    assert narrow[2] == "映画映画…   1000"
    assert table(("NAME", "N"), [("A", None), ("B", 12)]) == "NAME   N\nA      –\nB     12"
    assert table(("NAME", "TITLE"), [("A" * 30, "B" * 30)], width=25).splitlines()[1] == f"{'A' * 10}…  {'B' * 11}…"
    assert table(("A", "B", "C"), [(1, 2, 3)], width=5).splitlines()[1] == "1  2…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "now"),
        (42, "in 42 s"),
        (7199, "in 2 h"),
        (-185, "3 min ago"),
        (-90_000, "1 d ago"),
    ],
)
def test_times_are_relative(seconds: float, text: str) -> None:
    now = datetime(2026, 1, 22, 12, tzinfo=UTC)
    assert relative((now + timedelta(seconds=seconds)).isoformat(), now) == text


async def test_in_a_terminal_a_table_fits_and_has_relative_times(replica: Here, redis_server: RedisServer) -> None:
    api = Api([replica])
    await api.create(title="A long title " * 7)
    await api.close()
    await until(lambda: redis_server.call("ZCARD", "js:sessions"), "the session is listed")
    async with terminal("list", columns=70, rows=5, **settings(replica)) as shown:
        text = await shown.shows("in 30 min")
        assert await shown.exit_code() == 0
    heading, row = text.splitlines()
    assert heading.endswith("EXPIRES")
    assert "A long " in row
    assert "…" in row
