"""`join-session load` against the service: what it reports, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from app.client.checker import KINDS
from app.client.report import Report
from tests.harness.commands import run, started
from tests.harness.here import served_here
from tests.harness.metrics import until_metrics
from tests.harness.ports import free_port
from tests.harness.redis import RedisServer
from tests.harness.service import Replica

SMALL: Final = ("--sessions", "5", "--clients", "4", "--duration", "2", "--rate", "8", "--ramp", "0.5")
NOTHING: Final = ("--duration", "0", "--ramp", "0")
REPORT: Final[TypeAdapter[Any]] = TypeAdapter(Report)
DOCUMENT: Final = (Path(__file__).parent.parent.parent / "docs" / "load.md").read_text()


async def test_a_small_load_of_two_replicas_is_without_violations(service: list[Replica], tmp_path: Path) -> None:
    urls = f"{service[0].url},{service[1].url}/"
    done = await run("load", "--url", urls, *SMALL, "--json", "--report", str(tmp_path / "report.json"))
    assert (done.code, done.err) == (0, "")
    told = REPORT.validate_python(done.json, strict=True)
    assert told == json.loads((tmp_path / "report.json").read_text())
    assert told["ok"]
    assert told["violations"] == {"total": 0, "kinds": {}, "listed": []}
    assert told["plan"]["urls"] == [service[0].url, service[1].url]
    counts = told["counts"]
    assert (counts["sessions"], counts["clients"], counts["disconnects"], counts["newEpochs"]) == (5, 20, 0, 0)
    assert counts["changes"]["acknowledged"] > 20
    assert counts["changes"]["unknown"] == 0
    assert told["milliseconds"]["join"]["count"] == told["milliseconds"]["socketJoin"]["count"] == 20
    assert told["milliseconds"]["ack"]["count"] == counts["changes"]["acknowledged"]
    # Three others in each session; what one does again, and what changes nothing, was seen before.
    assert 0 < told["milliseconds"]["delivery"]["count"] <= 3 * counts["changes"]["acknowledged"]
    for times in (*told["milliseconds"].values(), told["generator"]["lag"]):
        assert 0 <= times["p50"] <= times["p90"] <= times["p99"] <= times["max"]


async def test_of_a_large_session_everybody_is_found(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), listed_participants=3) as (replica,):
        plan = ("--sessions", "1", "--clients", "8", "--duration", "2", "--rate", "10", "--ramp", "0.5", "--patches")
        done = await run("load", "--url", replica.url, *plan, "--json")
        assert (done.code, done.err, done.json["violations"]["total"]) == (0, "", 0)


async def test_the_sessions_are_ended_afterwards(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as (replica,):
        done = await run("load", "--url", replica.url, "--sessions", "3", "--clients", "1", *NOTHING)
        assert done.code == 0
    assert len(await redis_server.call("KEYS", "js:{*}:code")) == 3
    assert await redis_server.call("KEYS", "js:{*}") == []


async def test_the_table_is_for_people(service: list[Replica]) -> None:
    done = await run("load", "--url", service[0].url, *SMALL)
    assert done.code == 0
    assert re.match(r"5 sessions, 20 clients, 2\.\d s of changes\n", done.out)
    assert re.search(r"^delivery +\d+( +\d+\.\d){4}$", done.out, re.MULTILINE)
    assert done.out.endswith("No violations.\n")


async def test_an_interrupted_load_reports_what_it_did(redis_server: RedisServer) -> None:
    arguments = ("--sessions", "2", "--clients", "2", "--ramp", "0", "--duration", "600", "--rate", "20", "--json")
    async with (
        served_here(redis_server.url()) as (replica,),
        started("load", "--url", replica.url, *arguments) as process,
    ):
        await until_metrics(replica, lambda seen: seen.value("join_session_events_total", event="vote") > 10)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    told = json.loads(out)
    assert (process.returncode, err, told["ok"], told["interrupted"]) == (0, b"", True, True)


async def test_where_nobody_answers_the_load_cannot_run() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = await run("load", "--url", url, *SMALL)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"join-session: cannot load: {url}: Connection refused\n"


async def test_the_key_to_create_sessions_is_shown_where_it_is_set(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), create_key="the-key") as (replica,):
        refused = await run("load", "--url", replica.url, *SMALL)
        taken = await run("load", "--url", replica.url, *SMALL, JOIN_SESSION_CREATE_KEY="the-key")
    assert (refused.code, taken.code) == (1, 0)
    assert "a session was not created: A valid token is required" in refused.err


async def test_wrong_usage_exits_2() -> None:
    for wrong in (("--url", "localhost"), ("--url", ","), ("--sessions", "0"), ("--rate", "nan"), ("--duration", "x")):
        done = await run("load", *wrong)
        assert (done.code, done.out) == (2, ""), wrong
        assert wrong[0] in done.err


async def test_more_clients_than_the_system_has_files_for_are_refused(service: list[Replica]) -> None:
    done = await run("load", "--url", service[0].url, "--sessions", "1000000", "--clients", "1000")
    assert (done.code, done.out) == (1, "")
    assert "so many clients need 1,000,000,200 open files; the system allows" in done.err


def test_all_of_the_report_is_documented() -> None:
    for model in REPORT.json_schema()["$defs"].values():
        for name in model["properties"]:
            assert f"`{name}`" in DOCUMENT, name
    for kind in KINDS:
        assert f"`{kind}`" in DOCUMENT, kind
