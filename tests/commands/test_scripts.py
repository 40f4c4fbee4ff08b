"""`add` and `rate`, as scripts use them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness.commands import run
from tests.harness.people import Api, api, movie
from tests.harness.ports import free_port
from tests.harness.service import Replica

__all__ = ["api"]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_script_adds_and_rates_as_one_participant(service: list[Replica], api: Api) -> None:
    made = await api.create()
    here = {"JOIN_SESSION_URL": service[0].url}
    added = await run(
        "add", made.code, "Alien (1979)", "-", "--name", "Ada", "--json", given="Heat\n\n", environment=here
    )
    assert (added.code, added.err) == (0, "")
    assert added.json["added"] == ["alien-1979", "heat"]
    ada = here | {"JOIN_SESSION_TOKEN": added.json["token"]}
    again = await run("add", made.code, "Heat", "Ran", environment=ada)
    assert (again.code, again.out) == (0, "Added: Ran\nOn the list already: Heat\n")
    rated = await run("rate", made.code, "alien", "5", "--json", environment=ada)
    assert rated.json["participantID"] == added.json["participantID"]
    vetoed = await run("rate", made.code, "HEAT", "veto", environment=ada)
    assert (vetoed.code, vetoed.out) == (0, "Heat: veto\n")
    state = (await api.read(made.code))["sessionData"]
    assert [each["name"] for each in state["participants"]] == ["Ada"]
    assert [(each["title"], each["count"], each["vetoes"]) for each in state["movies"]] == [
        ("Alien", 1, 0), ("Heat", 0, 1), ("Ran", 0, 0)
    ]  # fmt: skip
    withdrawn = await run("rate", made.code, "Heat", "none", environment=ada)
    assert withdrawn.code == 0
    assert (await api.read(made.code))["sessionData"]["movies"][1]["vetoes"] == 0


async def test_movies_come_from_a_file_of_titles_or_of_json(service: list[Replica], api: Api, tmp_path: Path) -> None:
    made = await api.create()
    (tmp_path / "movies.txt").write_text("Alien (1979)\nHeat\n")
    (tmp_path / "movies.json").write_text(json.dumps([movie("m1", title="Ran")]))
    for name in ("movies.txt", "movies.json"):
        done = await run("add", made.code, "--movies", str(tmp_path / name), "--url", service[0].url)
        assert (done.code, done.err) == (0, "")
    assert [each["id"] for each in (await api.read(made.code))["sessionData"]["movies"]] == ["alien-1979", "heat", "m1"]


async def test_what_cannot_be_done_is_one_line_and_a_code(service: list[Replica], api: Api) -> None:
    made = await api.create(movies=[movie("m1", title="Alien"), movie("m2", title="Aliens")])
    await api.call("PATCH", made.path, json={"locked": True}, token=made.host_token)
    url = ("--url", service[0].url)
    host = ("--token", made.host_token)
    for arguments, code, text in (
        (("rate", made.code, "Alien", "5", *url), 1, "join-session: .*locked.*\n"),
        (("rate", made.code, "Heat", "5", *url, *host), 1, "join-session: There is no movie Heat\n"),
        (("rate", made.code, "ali", "5", *url, *host), 1, "join-session: ali may be Alien, Aliens\n"),
        (("add", made.code, "x" * 201, *url, *host), 1, "join-session: Title .*\n"),
        (("add", "nothing", "Heat", *url), 1, "join-session: Session not found or has expired\n"),
        (("add", made.code, "Heat", *url, "--token", "wrong"), 1, "join-session: A valid token is required\n"),
        (("add", made.code, "Heat", "--url", f"http://127.0.0.1:{free_port()}"), 1, "join-session: .* cannot be .*\n"),
        (("add", made.code, *url), 2, "(?s)Usage: .*No movies are given"),
        (("rate", made.code, "Alien", "6", *url), 2, "(?s)Usage: .*'6' is not one of"),
    ):
        done = await run(*arguments)
        assert (done.code, done.out) == (code, ""), arguments
        assert re.match(text, done.err), done.err
    refused = await run("rate", made.code, "Heat", "5", *url, *host, "--json")
    assert refused.json == {"ok": False, "code": "movie-not-found", "message": "There is no movie Heat"}
