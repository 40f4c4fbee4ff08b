"""`create`, `check` and `watch` as people run them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click
import pytest

from app.commands.program import program
from tests.harness.commands import Done, run, started
from tests.harness.here import served_here
from tests.harness.people import Api, People, api, movie, node, people
from tests.harness.ports import free_port
from tests.harness.programs import program as find_program
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.harness.sockets import open_sockets
from tests.harness.terminal import terminal
from tests.load.liar import Patching, liar

__all__ = ["api", "node", "people"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMEOUT_SECONDS: Final = 20.0
BROKEN_JSON: Final = "broken.json"
ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "commands.md").read_text()


async def created(service: list[Replica], *arguments: str) -> Any:
    return (await run("create", "--url", service[0].url, "--json", *arguments)).json


async def test_a_session_is_created_and_the_token_shown_to_who_asks(service: list[Replica], api: Api) -> None:
    done = await run("create", "--url", f"{service[0].url}/")
    assert (done.code, done.err) == (0, "")
    code = re.match(r"code +(\S+)\n", done.out)
    assert code is not None
    assert f"link        {service[0].url}/#{code[1]}\n" in done.out
    assert done.out.endswith("host token  ********  (--show-token shows it)\n")

    shown = await run("create", "--url", service[0].url, "--show-token")
    code, token = re.search(r"code +(\S+)", shown.out), re.search(r"host token +(\S+)\n$", shown.out)
    assert code is not None
    assert token is not None
    ended = await api.call("DELETE", f"/api/session/{code[1]}", token=token[1])
    assert ended.status_code == 200


async def test_a_session_has_what_was_asked_for(service: list[Replica], tmp_path: Path) -> None:
    movies = tmp_path / "movies.json"
    movies.write_text(json.dumps([movie("m1"), movie("m2")]))
    made = await created(service, "--title", "Friday", "--capacity", "7", "--ttl", "600", "--movies", str(movies))
    assert (made["meta"]["title"], made["meta"]["capacity"]) == ("Friday", 7)
    assert [shown["id"] for shown in made["sessionData"]["movies"]] == ["m1", "m2"]
    assert made["hostToken"]


async def test_what_the_service_refuses_exits_1_with_its_words(service: list[Replica]) -> None:
    done = await run("create", "--url", service[0].url, "--capacity", "0")
    assert (done.code, done.out) == (1, "")
    assert done.err == "join-session: Capacity must be 1 or more (--capacity)\n"


async def test_a_movie_that_is_refused_is_told_by_its_place_in_the_file(service: list[Replica], tmp_path: Path) -> None:
    (tmp_path / "movies.json").write_text('[{"id": "a", "title": "A"}, {"id": "b", "title": "B", "year": 1700}]')
    done = await run("create", "--url", service[0].url, "--movies", str(tmp_path / "movies.json"))
    assert done == Done(1, "", "join-session: Year must be 1850 or later (--movies, entry 2)\n")


async def test_the_key_to_create_is_shown_where_it_is_set(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), create_key="the-key") as (replica,):
        refused = await run("create", "--url", replica.url)
        taken = await run("create", "--url", replica.url, JOIN_SESSION_CREATE_KEY="the-key")
    assert (refused.code, refused.err) == (1, "join-session: A valid token is required\n")
    assert taken.code == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("create", "--movies", "nowhere.txt"),
        ("create", "--movies", BROKEN_JSON),
        ("create", "--url", "localhost:8080"),
        ("check",),
        ("watch", "123456", "--url", "http://localhost:x"),
    ],
    ids=" ".join,
)
async def test_wrong_usage_exits_2(wrong: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / BROKEN_JSON).write_text("[{")
    done = await run(*(str(tmp_path / word) if word == BROKEN_JSON else word for word in wrong))
    assert (done.code, done.out) == (2, "")
    assert "Usage: join-session" in done.err
    assert "Error: " in done.err


async def test_checking_finds_a_session(service: list[Replica]) -> None:
    code = (await created(service))["sessionID"]
    found = await run("check", code, "--url", service[1].url)
    assert (found.code, found.err) == (0, "")
    assert re.fullmatch(rf"Session {code} exists, created 2.*Z\.\n0 participants, 0 movies\n", found.out)
    assert list((await run("check", code, "--url", service[1].url, "--json")).json) == [
        "sessionID",
        "message",
        "sessionData",
    ]
    for command in ("check", "watch"):
        missing = await run(command, "nothing", "--url", service[0].url)
        assert missing == Done(1, "", "join-session: Session not found or has expired\n")


async def test_the_service_is_that_of_the_link_or_of_the_environment(service: list[Replica]) -> None:
    code = (await created(service))["sessionID"]
    elsewhere = f"http://127.0.0.1:{free_port()}"
    by_environment = await run("check", code, JOIN_SESSION_URL=service[1].url)
    assert (by_environment.code, by_environment.err) == (0, "")
    link = f"{service[1].url}/#{code}"
    by_link = await run("check", link, JOIN_SESSION_URL=elsewhere)
    assert (by_link.code, by_link.err) == (0, "")
    by_option = await run("check", link, "--url", elsewhere)
    assert by_option.err == f"join-session: {elsewhere} cannot be reached: Connection refused\n"


@pytest.mark.parametrize("secret", ["token", "passcode"])
async def test_secrets_of_the_environment_are_not_sent_where_a_link_leads(service: list[Replica], secret: str) -> None:
    code = (await created(service))["sessionID"]
    link = f"{service[0].url}/#{code}"
    secrets = {f"JOIN_SESSION_{secret.upper()}": "a-secret"}
    for elsewhere in ({}, {"JOIN_SESSION_URL": service[1].url}):
        refused = await run("add", link, "Heat", environment=secrets | elsewhere)
        assert (refused.code, refused.out) == (2, "")
        assert f"--{secret}" in refused.err
        assert f"JOIN_SESSION_URL={service[0].url}" in refused.err
        assert "a-secret" not in refused.err
    # To that service, the token is no participant's, and the passcode of a session without one is as good as any.
    sent = await run("add", link, "Heat", environment=secrets | {"JOIN_SESSION_URL": service[0].url})
    by_option = await run("add", link, "Heat", f"--{secret}=a-secret")
    assert sent.code == by_option.code == (1 if secret == "token" else 0)


async def test_errors_are_json_where_that_is_asked_for(service: list[Replica]) -> None:
    for command in ("check", "watch"):
        missing = await run(command, "nothing", "--url", service[0].url, "--json")
        assert (missing.code, missing.err) == (1, "")
        assert missing.json == {
            "ok": False,
            "code": "session-not-found",
            "message": "Session not found or has expired",
        }
    refused = await run("create", "--url", service[0].url, "--capacity", "0", "--json")
    assert (refused.json["code"], refused.json["field"]) == ("invalid-payload", "capacity")
    unreachable = await run("check", "123456", "--url", f"http://127.0.0.1:{free_port()}", "--json")
    assert (unreachable.code, unreachable.json["code"]) == (1, "unreachable")
    misused = await run("create", "--titel", "Friday", "--json")
    assert (misused.code, misused.json["code"]) == (2, "usage")
    misconfigured = await run("create", "--json", JOIN_SESSION_PROT="1")
    assert (misconfigured.code, misconfigured.json["code"]) == (2, "configuration")


async def test_where_nobody_answers_checking_fails() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = await run("check", "123456", "--url", url)
    assert done == Done(1, "", f"join-session: {url} cannot be reached: Connection refused\n")


async def test_a_passcode_need_not_be_in_the_list_of_processes(service: list[Replica], api: Api) -> None:
    url = ("--url", service[0].url)
    made = await run("create", *url, "--json", JOIN_SESSION_PASSCODE="open sesame")
    by_input = await run("create", *url, "--passcode", "-", "--json", given="open sesame\n")
    for each in (made.json, by_input.json):
        refused = await run("watch", each["sessionID"], *url)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.endswith("join-session: A passcode is required\n")
        async with watching(each["sessionID"], *url, JOIN_SESSION_PASSCODE="open sesame") as watcher:
            await watcher.until("session-update")
            await api.call("DELETE", f"/api/session/{each['sessionID']}", token=each["hostToken"])
            assert await watcher.exit_code() == 0


async def test_movies_are_titles_in_lines(service: list[Replica]) -> None:
    lines = "Alien (1979)\n\n  Heat\n映画 (1999)\n!!!\n" + "A long title " * 8 + "\n"
    done = await run("create", "--url", service[0].url, "--movies", "-", "--json", given=lines)
    movies = [(each["id"], each["title"], each.get("year")) for each in done.json["sessionData"]["movies"]]
    assert movies[:3] == [("alien-1979", "Alien", 1979), ("heat", "Heat", None), ("映画-1999", "映画", 1999)]
    assert [title for _, title, _ in movies[3:]] == ["!!!", ("A long title " * 8).strip()]


class Watcher:
    """`watch` as it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []

    async def until(self, text: str) -> str:
        """The first line not yet read that has this text in it."""
        assert self.process.stdout is not None
        return await self._until(self.process.stdout, self.out, text)

    async def until_told(self, text: str) -> str:
        """As `until`, of standard error."""
        assert self.process.stderr is not None
        return await self._until(self.process.stderr, self.err, text)

    async def exit_code(self) -> int:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.process.wait()

    async def _until(self, stream: asyncio.StreamReader, kept: list[str], text: str) -> str:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while line := (await stream.readline()).decode():
                kept.append(line)
                if text in line:
                    return line
        raise AssertionError(f"{text} did not come: {kept}")


@asynccontextmanager
async def watching(*arguments: str, **variables: str) -> AsyncIterator[Watcher]:
    async with started("watch", *arguments, **variables) as process:
        yield Watcher(process)


async def test_watching_tells_what_changes_until_the_end(service: list[Replica], api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1", title="Alien")])
    async with watching(made.code, "--url", service[1].url, "--name", "Watcher") as watcher:
        await watcher.until_told("joined")
        await watcher.until("1 participant, 1 movie  [1. Alien 0]")
        host = await people.join(made.code, token=made.host_token, name="Ada")
        await watcher.until("Ada joined")
        await host.do("add-movie", **movie("m2", title="Heat"))
        await watcher.until("Heat added")
        await host.do("vote", movieID="m2", rating=4)
        assert (await watcher.until("Heat 75 (1 rating)")).endswith("[1. Heat 75, 2. Alien 0]\n")
        await host.do("vote", movieID="m2", rating=1)
        await watcher.until("Heat 0 (0 ratings, 1 veto)")
        await host.do("remove-movie", movieID="m1")
        await watcher.until("Alien removed")
        await host.do("end-session")
        await watcher.until("session-ended  reason ended")
        assert await watcher.exit_code() == 0


async def test_watching_waits_for_hidden_ratings(service: list[Replica], api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1", title="Alien")], reveal="decided")
    host = await people.join(made.code, token=made.host_token)
    async with watching(made.code, "--url", service[0].url) as watcher:
        assert (await watcher.until("session-update")).endswith("2 participants, 1 movie\n")
        await host.do("vote", movieID="m1", rating=4)
        await host.do("decide")
        assert (await watcher.until("Alien 75 (1 rating)")).endswith("[1. Alien 75]\n")


async def test_frames_are_lines_of_json_without_secrets(service: list[Replica], api: Api) -> None:
    made = await api.create()
    async with watching(made.code, "--url", service[0].url, "--json") as watcher:
        assert json.loads(await watcher.until("joined-session"))["arguments"] == [{"sessionID": made.code}]
        update = json.loads(await watcher.until("session-update"))
        assert list(update) == ["at", "event", "arguments"]
        assert update["arguments"][2] == "{epoch}-{version}".format(**update["arguments"][1])
        watcher.process.send_signal(signal.SIGINT)
        assert await watcher.exit_code() == 0
        out, err = await watcher.process.communicate()
    said = "".join([*watcher.out, *watcher.err]) + out.decode() + err.decode()
    assert made.host_token not in said
    assert not re.search(r'"(pid|sid|token)": "(?!\*{8}")', said)
    left = await api.call("GET", made.path)
    assert left.json()["sessionData"]["participants"] == []


async def test_watching_comes_back_as_the_same_participant(service: list[Replica], api: Api) -> None:
    made = await api.create()
    async with FaultProxy(service[0].port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with watching(made.code, "--url", url, "--name", "Watcher") as watcher:
            await watcher.until("session-update")
            proxy.cut()
            await watcher.until_told("disconnected")
            await watcher.until_told("joined")
            await watcher.until("session-update")
            seen = (await api.call("GET", made.path)).json()["sessionData"]["participants"]
            assert [(person["name"], person["connected"]) for person in seen] == [("Watcher", True)]
            await api.call("DELETE", made.path, token=made.host_token)
            await watcher.until("session-ended")
            assert await watcher.exit_code() == 0


class PatchingAmiss(Patching):
    """Each third patch starts at a state that the client does not hold."""

    patches = 0

    def start(self, version: int) -> int:
        self.patches += 1
        return version - (self.patches % 3 == 0)


@pytest.mark.parametrize("kind", [Patching, PatchingAmiss])
async def test_watching_shows_what_patches_change(kind: type[Patching], service: list[Replica], api: Api) -> None:
    made = await api.create(movies=[movie("m1", title="Alien")])
    async with (
        liar(service[0].port, kind) as url,
        watching(made.code, "--url", url, "--name", "Watcher") as watcher,
    ):
        await watcher.until("1 participant, 1 movie  [1. Alien 0]")
        for number in range(8):
            added = movie(f"x{number}", title=f"Movie {number}")
            await api.call("POST", f"{made.path}/movies", json=added, token=made.host_token)
            assert "session-update" in await watcher.until(f"Movie {number} added")


async def test_watching_a_large_session_counts_those_who_are_not_listed(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), listed_participants=2) as (replica,):
        api = Api([replica])
        made = await api.create(movies=[movie("m1")])
        async with (
            open_sockets([replica.url], 3) as sockets,
            watching(made.code, "--url", replica.url, "--name", "Watcher") as watcher,
        ):
            await watcher.until("1 participant, 1 movie")
            for count, socket in enumerate(sockets, start=2):
                await socket.emit("join-session", made.code, {"name": f"Guest {count}"})
                await watcher.until("Guest 2 joined" if count == 2 else f"{count} participants")
            # The third is listed now, but has not joined.
            await sockets[0].emit("leave-session")
            assert "joined" not in await watcher.until("3 participants")
        await api.close()


async def test_the_commands_of_the_page_do_what_it_says(service: list[Replica], api: Api, tmp_path: Path) -> None:
    (tmp_path / "movies.txt").write_text("Alien (1979)\n")
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    code = (await api.create()).code
    seen = set()
    for line in block[1].splitlines():
        command = line.partition("#")[0].replace("123456", code).replace("movies.txt", str(tmp_path / "movies.txt"))
        program, name, *arguments = shlex.split(command)
        assert program == "join-session"
        seen.add(name)
        if name == "watch":
            async with watching(*arguments, "--url", service[0].url) as watcher:
                await watcher.until("session-update")
                watcher.process.send_signal(signal.SIGINT)
                assert await watcher.exit_code() == 0
        elif name == "join":
            async with terminal(name, *arguments, "--url", service[0].url) as shown:
                await shown.shows("You are Ada")
        else:
            assert (await run(name, *arguments, "--url", service[0].url)).code == 0
    assert seen == {"create", "check", "join", "add", "rate", "watch"}


async def test_the_script_of_the_page_does_what_it_says(service: list[Replica], api: Api, tmp_path: Path) -> None:
    [script] = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "export" in block]
    command = tmp_path / "join-session"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    command.chmod(0o755)
    find_program("jq")
    made = await api.create()
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-ec",
        script.replace("123456", made.code),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "JOIN_SESSION_URL": service[0].url},
    )
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await process.wait() == 0
    state = (await api.read(made.code))["sessionData"]
    assert [each["name"] for each in state["participants"]] == ["Ada"]
    assert [(each["title"], each["count"]) for each in state["movies"]] == [("Heat", 1), ("Alien", 0), ("Ran", 0)]


async def test_the_page_names_each_option_and_variable_of_these_commands() -> None:
    root = click.Context(program)
    commands = [program.get_command(root, name) for name in ("create", "check", "join", "add", "rate", "watch")]
    options = [option for command in commands if command for option in command.params]
    named = {name for option in options if isinstance(option, click.Option) for name in option.opts}
    variables = {str(option.envvar) for option in options if option.envvar}
    assert {name for name in named | variables if name not in PAGE} == set()
