"""`join` in a real terminal."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.harness.commands import run
from tests.harness.people import Api, People, api, movie, node, people
from tests.harness.ports import free_port
from tests.harness.proxy import FaultProxy
from tests.harness.service import Replica
from tests.harness.terminal import terminal

__all__ = ["api", "node", "people"]

EXAMPLES: Final = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_session_is_lived_in_a_terminal(service: list[Replica], api: Api, people: People) -> None:
    made = await api.create(title="Friday", movies=[movie("m1", title="Alien")])
    link = f"{service[0].url}/#{made.code}"
    joining = terminal(
        *("join", link, "--name", "Ada"), JOIN_SESSION_URL=service[0].url, JOIN_SESSION_TOKEN=made.host_token
    )
    async with joining as ada:
        await ada.shows("You are Ada", f"Friday, session {made.code}: 1 person, ends in 2 h", "Alien", "\n>")
        guest = await people.join(made.code, replica=1, name="Bob")
        await ada.shows("Bob joined", "2 people")

        ada.type("add Heat (1995)\r")
        await ada.shows("Heat added")
        await guest.do("vote", movieID="heat-1995", rating=4)
        text = await ada.shows("Heat 75 (1 rating)")
        assert re.search(r"^ 2 +1 +Heat +75 +1 +0 +–$", text, re.MULTILINE)
        ada.type("2 5\r")
        await ada.until(lambda text: bool(re.search(r"^ 2 +1 +Heat +88 +2 +0 +5$", text, re.MULTILINE)), "the rating")
        ada.type("veto ali\r")
        await ada.until(lambda text: bool(re.search(r"^ 1 +2 +Alien +0 +0 +1 +1$", text, re.MULTILINE)), "the veto")
        ada.type("unrate Alien\r")
        await ada.until(lambda text: bool(re.search(r"^ 1 +2 +Alien +0 +0 +0 +–$", text, re.MULTILINE)), "no veto")

        ada.type("people\r")
        await ada.shows("> people", "Bob   member  yes", "Ada   host    yes")
        ada.type("help\r")
        await ada.shows("decide [MOVIE]")
        ada.type("decide\r")
        await ada.shows("Decided: Heat (by ranking)")
        ada.type("reopen\r")
        await ada.until(lambda text: "(by ranking)" not in text, "no decision")
        ada.type("remove 1\r")
        await ada.shows("Alien removed")
        ada.type("\x04")
        assert await ada.exit_code() == 0
        await ada.shows("You have left the session.")
        assert ada.text.splitlines()[-1] == "You have left the session."
        assert ada.is_as_before
    left = await api.read(made.code)
    assert [each["name"] for each in left["sessionData"]["participants"]] == ["Bob"]


async def test_what_is_typed_wrong_is_explained(service: list[Replica], api: Api) -> None:
    made = await api.create(movies=[movie("m1", title="Alien"), movie("m2", title="Aliens")])
    async with terminal("join", made.code, "--url", service[0].url) as ada:
        await ada.shows("You are")
        for typed, answer in (
            ("vetto 1", "There is no command vetto: did you mean veto?"),
            ("xyzzy", "There is no command xyzzy: type help"),
            ("rate 1 6", "Type rate MOVIE 1…5"),
            ("rate 3", "> rate 3\nType rate MOVIE 1…5"),
            ("veto", "Type veto MOVIE"),
            ("veto Heat", "There is no movie Heat"),
            ("veto ali", "ali may be Alien, Aliens"),
            ("add " + "x" * 300, "Title"),
        ):
            ada.type(typed + "\r")
            await ada.shows(answer)
        # Keys that move the cursor, and editing.
        ada.type("\x1b[A\x1b[Dvetx\x7fo 1 all of it\x15people now\x17\r")
        await ada.shows("CONNECTED")


async def test_the_ranking_fits_the_terminal(service: list[Replica], api: Api) -> None:
    made = await api.create(movies=[movie(f"m{number}", title=f"Movie {number} " * 9) for number in range(30)])
    async with terminal("join", made.code, "--url", service[0].url, columns=50, rows=15) as ada:
        text = await ada.shows("You are", "… and 22 more: type ranking")
        assert len([line for line in text.splitlines() if "Movie" in line]) == 8
        ada.resize(100, 30)
        text = await ada.shows("… and 7 more: type ranking")
        assert len([line for line in text.splitlines() if "Movie" in line]) == 23


@pytest.mark.parametrize("keys", ["\x03", "leave\r", "\x04"], ids=["Ctrl-C", "leave", "Ctrl-D"])
async def test_who_leaves_gets_the_terminal_back(keys: str, service: list[Replica], api: Api) -> None:
    made = await api.create()
    async with terminal("join", made.code, "--url", service[0].url) as ada:
        await ada.shows("You are Guest 1")
        assert not ada.is_as_before
        ada.type(keys)
        assert await ada.exit_code() == 0
        assert ada.is_as_before
        await ada.shows("You have left the session.")
    assert (await api.read(made.code))["sessionData"]["participants"] == []


async def test_the_end_of_the_session_ends_the_command(service: list[Replica], api: Api) -> None:
    made = await api.create()
    async with terminal("join", made.code, "--url", service[0].url) as ada:
        await ada.shows("You are")
        await api.call("DELETE", made.path, token=made.host_token)
        assert await ada.exit_code() == 0
        await ada.shows("The host has ended the session.")
        assert ada.is_as_before


async def test_a_lost_connection_is_shown_and_comes_back(service: list[Replica], api: Api) -> None:
    made = await api.create(movies=[movie("m1", title="Alien")])
    async with (
        FaultProxy(service[0].port) as proxy,
        terminal("join", made.code, "--url", f"http://127.0.0.1:{proxy.port}", "--name", "Ada") as ada,
    ):
        await ada.shows("You are Ada")
        proxy.cut()
        await ada.shows("Not connected; trying again…")
        ada.type("1 4\r")
        await ada.shows("Alien 75 (1 rating)")
        assert "Not connected" not in ada.text


async def test_the_passcode_is_asked_for(service: list[Replica], api: Api) -> None:
    made = await api.create(passcode="open sesame")
    async with terminal("join", made.code, "--url", service[0].url) as ada:
        await ada.shows("A passcode is required", "Passcode:")
        ada.type("wrong one\r")
        await ada.until(lambda text: text.count("Passcode:") == 2, "another question")
        ada.type("open sesame\r")
        text = await ada.shows("You are")
        assert "sesame" not in text


async def test_the_example_creates_a_session_and_joins_as_its_host(service: list[Replica], tmp_path: Path) -> None:
    command = tmp_path / "join-session"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    command.chmod(0o755)
    [started] = re.findall(
        r"`PATH=\$PWD/.venv/bin:\$PATH (\S+/movie-night.sh .+?)`", (EXAMPLES / "README.md").read_text()
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    program = [str(EXAMPLES.parent / word) for word in started.split()]
    async with terminal(program=program, PATH=path, JOIN_SESSION_URL=service[0].url) as shown:
        await shown.shows(f"Invite others: {service[0].url}/#", "You are Guest 1", "Movie night, session")
        shown.type("1 5\rdecide\r")
        await shown.shows("Decided: ")


async def test_where_there_is_no_terminal_or_no_session_it_says_so(service: list[Replica]) -> None:
    done = await run("join", "123456", "--url", service[0].url)
    assert (done.code, done.out) == (2, "")
    assert "In scripts use check, add and rate" in done.err
    async with terminal("join", "nothing", "--url", service[0].url) as ada:
        assert await ada.exit_code() == 1
        await ada.shows("join-session: Session not found or has expired")
        assert ada.is_as_before
    async with terminal("join", "123456", "--url", f"http://127.0.0.1:{free_port()}") as ada:
        assert await ada.exit_code() == 1
        await ada.shows("The service cannot be reached: Connection refused")
