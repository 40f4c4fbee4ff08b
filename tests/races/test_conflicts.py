"""Two changes at once of which each takes away what the other stands on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.harness.people import Api, Made, movie
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until
from tests.harness.world import RACES, World, hosts

JOINERS = 12
VOTERS = 6
# Less than the grace time, or there would be nobody left to vote.
TIME_TO_JOIN = 0.8


@RACES
async def test_two_hosts_that_hand_over_at_once_leave_one_host(world: World, api: Api) -> None:
    """One was promoted, one comes by the host token and has the last word."""
    async with open_sockets(world.urls, 3) as (host, one, other):
        for turn in range(world.repeats):
            made = await api.create()
            await host.emit("join-session", made.code)
            heirs = [(await heir.emit("join-session", made.code))["participantID"] for heir in (one, other)]
            by_person, by_token = await asyncio.gather(
                host.emit("transfer-host", {"participantID": heirs[0]}),
                hand_over_by_token(made, heirs[1], world, replica=turn % 3),
            )
            assert by_token["ok"], by_token
            assert by_person["ok"] or by_person["code"] == "forbidden", by_person
            for replica in range(3):
                data = (await api.read(made.code, replica=replica))["sessionData"]
                assert hosts(data) == [heirs[1]]
            late = await api.call("PATCH", made.path, token=made.host_token, json={"title": "mine"})
            assert late.status_code == 401


async def hand_over_by_token(made: Made, heir: str, world: World, *, replica: int) -> dict[str, Any]:
    socket = await Socket.open(world.urls[replica])
    try:
        assert (await socket.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        return await socket.emit("transfer-host", {"participantID": heir})
    finally:
        await socket.close()


@RACES
async def test_who_joins_while_the_session_ends_is_turned_away_or_told(world: World, api: Api) -> None:
    ended_sessions = []
    async with open_sockets(world.urls, JOINERS) as sockets:
        for turn in range(world.repeats):
            made = await api.create()
            before = {socket: socket.counts["session-ended"] for socket in sockets}
            acks = await asyncio.gather(
                *(socket.emit("join-session", made.code) for socket in sockets[: JOINERS // 2]),
                end(api, made, replica=turn % 3),
                *(socket.emit("join-session", made.code) for socket in sockets[JOINERS // 2 :]),
            )
            ended = acks.pop(JOINERS // 2)
            assert ended["ok"]
            for socket, ack in zip(sockets, acks, strict=True):
                if ack["ok"]:
                    assert ack["version"] < ended["version"]
                    assert await socket.next("session-ended") == {"sessionID": made.code, "reason": "ended"}
                else:
                    assert ack["code"] == "session-not-found"
                assert (await socket.next("error"))["message"] == "Session not found or has expired"
                assert socket.counts["session-ended"] == before[socket] + ack["ok"]
            assert (await api.join(made.code)).status_code == 404
            ended_sessions.append(made.code)
        await nothing_left(world, ended_sessions, [socket.pid for socket in sockets])


async def end(api: Api, made: Made, *, replica: int) -> dict[str, Any]:
    answer = await api.call("DELETE", made.path, token=made.host_token, replica=replica)
    body: dict[str, Any] = answer.json()
    return body


@RACES
async def test_who_is_kicked_while_coming_back_by_token_is_out_or_there_anew(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 1) as (host,):
        for turn in range(world.repeats):
            made = await api.create()
            await host.emit("join-session", made.code)
            lost, came = await asyncio.gather(*(Socket.open(world.urls[(turn + n) % 3]) for n in range(2)))
            guest = await lost.emit("join-session", made.code, {"name": "Guest"})
            await lost.drop()
            kick, back = await asyncio.gather(
                host.emit("kick-participant", {"participantID": guest["participantID"]}),
                came.emit("join-session", made.code, {"token": guest["token"]}),
            )
            assert kick["ok"]
            assert back["ok"]
            assert back["participantID"] == guest["participantID"]
            data = (await api.read(made.code))["sessionData"]
            there = [person for person in data["participants"] if person["id"] == guest["participantID"]]
            if back["version"] > kick["version"]:
                assert there
                assert (await came.emit("update-session", {"title": "x"}))["code"] == "forbidden"
            else:
                assert not there
                assert (await came.next("session-ended"))["reason"] == "kicked"
                assert (await came.emit("vote", {"movieID": "m", "rating": 5}))["code"] == "not-joined"
            assert len(hosts(data)) == 1
            await came.close()


@RACES
async def test_who_is_kicked_while_the_connection_is_recovered_is_out(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 1) as (host,):
        for turn in range(world.repeats):
            made = await api.create()
            await host.emit("join-session", made.code)
            lost = await Socket.open(world.urls[turn % 3])
            guest = await lost.emit("join-session", made.code)
            await lost.at_version(guest["version"])
            await lost.drop()
            kick, came = await asyncio.gather(
                host.emit("kick-participant", {"participantID": guest["participantID"]}),
                Socket.open(world.urls[(turn + 1) % 3], auth={"pid": lost.pid, "offset": lost.offset}),
            )
            assert kick["ok"]
            data = (await api.read(made.code))["sessionData"]
            assert guest["participantID"] not in [person["id"] for person in data["participants"]]
            if came.pid == lost.pid:
                assert (await came.next("session-ended"))["reason"] == "kicked"
            assert (await came.emit("vote", {"movieID": "m", "rating": 5}))["code"] == "not-joined"
            assert came.counts["session-ended"] <= 1
            await came.close()


@RACES
async def test_votes_at_the_moment_of_expiry_all_count_or_all_find_nothing(world: World, api: Api) -> None:
    """The first vote that is in time gives the session its lifetime anew, so the others are in time, too."""
    sessions = []
    for _ in range(world.repeats):
        made = await api.create(ttlSeconds=TIME_TO_JOIN, movies=[movie("m1")])
        tokens = await people_who_have_just_left(world, made)
        expires = datetime.fromisoformat((await api.read(made.code))["meta"]["expiresAt"]).timestamp()
        # The votes are under way for some milliseconds, so they arrive around the moment itself.
        await asyncio.sleep(expires - time.time() - 0.008)
        answers = await asyncio.gather(
            *(
                api.call("PUT", f"{made.path}/movies/m1/vote", token=token, json={"rating": 4}, replica=number % 3)
                for number, token in enumerate(tokens)
            )
        )
        # Votes that a busy machine sends late may come after the grace time of those who have left.
        found = {answer.status_code == 200 for answer in answers}
        codes = {answer.headers.get("X-Error-Code") for answer in answers}
        assert len(found) == 1, [answer.text for answer in answers]
        assert codes <= {None, "session-not-found", "not-joined"}, codes
        if found == {True}:
            assert (await api.read(made.code))["sessionData"]["movies"][0]["count"] == VOTERS
        sessions.append(made.code)
    await nothing_left(world, sessions)


async def people_who_have_just_left(world: World, made: Made) -> list[str]:
    async with open_sockets(world.urls, VOTERS) as sockets:
        acks = await asyncio.gather(*(socket.emit("join-session", made.code) for socket in sockets))
    return [ack["token"] for ack in acks]


async def nothing_left(world: World, codes: Sequence[str], pids: Sequence[str] = ()) -> None:
    """Returns once no key of these sessions and recovery ids is left."""

    async def gone() -> bool:
        return not await world.keys_of(codes, pids)

    await until(gone, "nothing of the sessions is left in Redis")
