"""The snippets at `/docs` do what they say, in a session that has what their example had."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from asyncio.subprocess import PIPE
from html import unescape
from typing import Any, Final

import pytest_asyncio

from app.documents.page import page
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import EVENTS, ROUTES
from tests.harness.here import Here, served_here
from tests.harness.node import JS, node_program
from tests.harness.people import Api, movie
from tests.harness.programs import program
from tests.harness.redis import RedisServer
from tests.harness.sockets import open_sockets

# What needs a decision.
DECIDED: Final = ("readResult", "reopen")


class Prepared:
    """A session with two movies, a guest, and its host, of whom everything is asked."""

    def __init__(self, code: str, host: dict[str, Any], guest: dict[str, Any]) -> None:
        self.code = code
        self.token: str = host["token"]
        self.host: str = host["participantID"]
        self.guest: str = guest["participantID"]


async def prepared(replica: Here, *, decided: bool) -> Prepared:
    api = Api([replica])
    made = await api.create(movies=[movie("a"), movie("b"), movie("d")])
    async with open_sockets([replica.url], 2) as [host, guest]:
        joined = await host.emit("join-session", made.code, {"token": made.host_token})
        other = await guest.emit("join-session", made.code)
    if decided:
        await api.call("POST", f"{made.path}/decision", token=made.host_token, json={"movieID": "a"})
    else:
        await api.call("PUT", f"{made.path}/movies/a/vote", token=joined["token"], json={"rating": 5})
    await api.close()
    return Prepared(made.code, joined, other)


@pytest_asyncio.fixture
async def replica(redis_server: RedisServer) -> Any:
    async with served_here(redis_server.url()) as [replica]:
        yield replica


async def test_each_snippet_of_curl_is_answered_with_success(replica: Here) -> None:
    for route in ROUTES:
        session = await prepared(replica, decided=route.name in DECIDED)
        command = snippets(f"http-{route.name}")[0].replace("http://localhost:8080", replica.url)
        command = re.sub(r"(?<=/api/session/)\d{6}|(?<=\"sessionID\": \")\d{6}", session.code, command)
        command = re.sub(r"(?<=/participants/)\w+", session.host, command).replace("TOKEN", session.token)
        _, *arguments = shlex.split(command)
        written = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
        process = await asyncio.create_subprocess_exec(program("curl"), *arguments, *written, stdout=PIPE)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
        assert output.decode() == str(route.status), command


async def test_each_snippet_of_socket_io_client_is_acknowledged_with_success(replica: Here) -> None:
    asked = []
    for event in EVENTS:
        session = await prepared(replica, decided=event in DECIDED)
        snippet = re.sub(r'(?<="token": ")[^"]+', session.token, snippets(event)[0])
        snippet = re.sub(r'(?<="join-session", ")\d{6}', session.code, snippet)
        snippet = re.sub(r'(?<="participantID": ")\w+', session.guest, snippet)
        listening = [text for name in SERVER_EVENTS for text in snippets(name)]
        asked.append({"sessionID": session.code, "token": session.token, "on": listening, "emit": snippet})
    process = await asyncio.create_subprocess_exec(
        *node_program(JS / "snippets.mjs"), replica.url, stdin=PIPE, stdout=PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), 30)
    told = dict(zip(EVENTS, map(json.loads, output.decode().splitlines()), strict=True))
    assert {event: each["ack"] for event, each in told.items() if not each["ack"]["ok"]} == {}
    assert all(each["told"] for each in told.values()), told


def snippets(article: str) -> list[str]:
    """What is under `curl` or `socket.io-client` in an article of the page."""
    shown = page().partition(f"<article id='{article}'")[2].partition("</article>")[0]
    found = re.findall(r"<summary>(?:curl|socket\.io-client)</summary><pre[^>]*>(.*?)</pre>", shown, re.DOTALL)
    assert found
    return [unescape(text) for text in found]
