"""A bug of ours is no outage: it is answered as what it is, logged once with its traceback, and leaves nothing behind.

What is broken here is the inside of a replica, for its outside offers no bug that could be relied on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from app.observability.logging import JSONFormatter
from app.redis_client.client import Script
from app.redis_client.errors import CommandFailed, StoreUnavailable, UnexpectedReply, reading_reply
from app.store.client_errors import client_errors
from app.store.sessions import RedisSessions
from tests.harness.here import Here, served_here
from tests.harness.people import Api
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOIN_FAILED = '{"message":"Failed to join session"}'


@asynccontextmanager
async def scene(redis: RedisServer) -> AsyncIterator[tuple[Here, Api, Socket]]:
    async with served_here(redis.url()) as [here], open_sockets([here.url], 1) as [socket]:
        api = Api([here])
        try:
            yield here, api, socket
        finally:
            await api.close()


def store_of(here: Here) -> RedisSessions:
    return here.replica.redis.sessions


def break_script(here: Here, **scripts: Any) -> None:
    store = store_of(here)
    store._scripts = replace(store._scripts, **scripts)


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about errors, as the service writes them."""
    return [JSONFormatter(tracebacks=False).format(each) for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_bug_in_a_change_is_an_internal_error_logged_once_with_its_traceback(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(redis_server) as (here, api, socket):
        made = await api.create(movies=[{"id": "m", "title": "T"}])
        joined = await socket.emit("join-session", made.code)
        break_script(here, vote=Script("vote", text=None))  # type: ignore[arg-type]
        answer = await api.call("PUT", f"{made.path}/movies/m/vote", token=joined["token"], json={"rating": 5})
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (500, "internal-error")
        assert answer.json() == {"message": "Internal error", "code": "internal-error"}
        ack = await socket.emit("vote", {"movieID": "m", "rating": 5})
        assert ack == {"ok": False, "code": "internal-error", "message": "Internal error"}
    lines = bugs(caplog)
    assert len(lines) == 2
    assert all("AttributeError" in line and "in sha" in line for line in lines)


async def test_a_bug_in_a_script_is_an_internal_error_logged_with_its_traceback(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(redis_server) as (here, api, _):
        made = await api.create(movies=[{"id": "m", "title": "T"}])
        break_script(here, remove_movie=Script("remove-movie", "return 1 + nil"))
        answer = await api.call("DELETE", f"{made.path}/movies/m", token=made.host_token)
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (500, "internal-error")
    (line,) = bugs(caplog)
    assert "ScriptFailed" in line
    assert "in _call" in line


async def test_a_bug_in_joining_has_the_seeds_answer(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(redis_server) as (here, api, socket):
        made = await api.create()
        store, client = store_of(here), store_of(here)._client
        try:
            store._client = None  # type: ignore[assignment]
            answer = await api.join(made.code)
            assert (answer.status_code, answer.text) == (500, JOIN_FAILED)
            ack = await socket.emit("join-session", made.code)
            assert (ack["ok"], ack["message"]) == (False, "Failed to join session")
            assert (await socket.next("error"))["message"] == "Failed to join session"
        finally:
            store._client = client
    lines = [line for line in bugs(caplog) if "unexpected error in" in line]
    assert len(lines) == 2
    assert all("AttributeError" in line and "traceback" in line for line in lines)


async def test_a_reply_that_makes_no_sense_is_an_outage(redis_server: RedisServer) -> None:
    async with scene(redis_server) as (_, api, socket):
        made = await api.create()
        key = f"js:{{{made.code}}}"
        await redis_server.call("HDEL", key, "instance", "created")
        answer = await api.join(made.code)
        assert (answer.status_code, answer.text) == (500, JOIN_FAILED)
        assert (await api.call("GET", made.path)).json()["code"] == "unavailable"
        assert not (await socket.emit("join-session", made.code))["ok"]


@pytest.mark.parametrize("bug", [KeyError("x"), TypeError("x"), AttributeError("x"), ValueError("x"), IndexError("x")])
async def test_only_errors_of_the_store_are_outages(bug: Exception) -> None:
    with pytest.raises(type(bug)), client_errors(changing=False):
        raise bug
    for changing, error, code in (
        (False, StoreUnavailable("lost", sent=True), "unavailable"),
        (True, StoreUnavailable("lost", sent=True), "outcome-unknown"),
        (True, CommandFailed("WRONGTYPE"), "unavailable"),
        (True, UnexpectedReply("KeyError"), "outcome-unknown"),
    ):
        with pytest.raises(Exception, match=code), client_errors(changing=changing):
            raise error
    with pytest.raises(UnexpectedReply, match=type(bug).__name__), reading_reply():
        raise bug


async def test_a_bug_in_the_recovery_of_a_connection_leaves_nothing_of_it(redis_server: RedisServer) -> None:
    async with scene(redis_server) as (here, api, socket):
        made = await api.create()
        joined = await socket.emit("join-session", made.code)
        await socket.at_version(joined["version"])
        pid, offset = socket.pid, socket.offset
        await socket.drop()
        handlers: Any = here.replica.sockets.server.handlers["/"]["connect"]
        handlers = handlers.__self__
        await until_quiet(here, handlers)
        membership = handlers._membership
        recoveries, membership._recoveries = membership._recoveries, Unfinished(membership._recoveries)
        try:
            with pytest.raises(AssertionError, match="44"):
                await Socket.open(here.url, {"pid": pid, "offset": offset})
        finally:
            membership._recoveries = recoveries
        await until_quiet(here, handlers)
        members = (await api.read(made.code))["sessionData"]["participants"]
        assert [each["connected"] for each in members] == [False]
        back = await Socket.open(here.url, {"pid": pid, "offset": offset})
        await back.at_version(joined["version"])
        assert [each["connected"] for each in back.update["participants"]] == [True]
        await back.close()


class Unfinished:
    """Recoveries of which half is not written yet."""

    def __init__(self, recoveries: Any) -> None:
        self.get = recoveries.get
        self.void = recoveries.void


async def until_quiet(here: Here, handlers: Any) -> None:
    """Waits until the replica has no connection, and Redis knows of none."""
    presence = here.replica.sockets.presence

    async def quiet() -> bool:
        return not (
            here.replica.sockets.server.open_count
            or here.replica.sockets.server._sockets
            or handlers._sockets
            or len(here.replica.sockets.rooms.members)
            or not presence._departures.settled
        )

    await until(quiet, "the replica is quiet")
    await asyncio.sleep(0)
