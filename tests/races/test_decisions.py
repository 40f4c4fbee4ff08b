"""A decision and what would change it at the same time: there is one decision, of what was acknowledged before it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.harness.people import Api, Made, movie
from tests.harness.reckoning import figures
from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until
from tests.harness.world import DECIDE_DELAY, RACES, World

VOTERS = 6
MOVIES = ("a", "b", "c")


async def joined(api: Api, sockets: Sequence[Socket], **settings: Any) -> Made:
    """A session with three movies, in which all are; the first one is the host."""
    made = await api.create(movies=[movie(name) for name in MOVIES], **settings)
    for number, socket in enumerate(sockets):
        options = {"token": made.host_token} if number == 0 else {}
        assert (await socket.emit("join-session", made.code, options))["ok"]
    return made


async def decision_of(api: Api, made: Made) -> Any:
    return (await api.read(made.code, replica=2))["meta"]["decision"]


@RACES
async def test_two_that_decide_at_once_make_one_decision(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 3) as sockets:
        for _ in range(world.repeats):
            told = [socket.counts["session-decided"] for socket in sockets]
            made = await joined(api, sockets)
            await sockets[1].emit("vote", {"movieID": "a", "rating": 3})
            by_socket, by_http = await asyncio.gather(
                sockets[0].emit("decide", {"movieID": "b"}),
                api.call("POST", f"{made.path}/decision", token=made.host_token, json={}, replica=1),
            )
            answers = [by_socket, by_http.json()]
            decision = await decision_of(api, made)
            assert [answer["decision"] for answer in answers] == [decision, decision]
            assert sorted(answer.get("code", "") for answer in answers) == ["", "session-decided"]
            for socket, before in zip(sockets, told, strict=True):
                assert (await socket.next("session-decided"))["decision"] == decision
                assert socket.counts["session-decided"] == before + 1


@RACES
async def test_a_decision_is_of_the_votes_that_were_acknowledged(world: World, api: Api) -> None:
    async with open_sockets(world.urls, VOTERS) as sockets:
        for turn in range(world.repeats):
            made = await joined(api, sockets)
            await sockets[1].emit("vote", {"movieID": "a", "rating": 5})
            effective: dict[tuple[str, int], int] = {("a", 1): 5}

            async def rate(number: int, socket: Socket, made: Made = made, effective: Any = effective) -> None:
                for step in range(100):
                    vote = {"movieID": MOVIES[(number + step) % 3], "rating": 1 + (number * step) % 5}
                    ack = await socket.emit("vote", vote)
                    if not ack["ok"]:
                        assert ack["code"] == "session-decided"
                        return
                    effective[vote["movieID"], number] = vote["rating"]
                raise AssertionError("nothing was decided")

            async def decide(turn: int = turn) -> Any:
                await asyncio.sleep(0.01 * (turn % 5))
                return await sockets[0].emit("decide", {})

            ack, *_ = await asyncio.gather(decide(), *(rate(*each) for each in enumerate(sockets)))
            expected = {
                name: figures([rating for (voted, _), rating in effective.items() if voted == name]) for name in MOVIES
            }
            shown = {
                place["movieID"]: {key: place[key] for key in expected[place["movieID"]]}
                for place in ack["decision"]["ranking"]
            }
            assert shown == expected


async def rate_all(sockets: Sequence[Socket]) -> None:
    for socket in sockets:
        for name in MOVIES:
            assert (await socket.emit("vote", {"movieID": name, "rating": 4}))["ok"]


@RACES
async def test_a_movie_that_comes_as_the_time_comes_is_refused_or_takes_the_decision_back(
    world: World, api: Api
) -> None:
    async with open_sockets(world.urls, 3) as sockets:
        for turn in range(world.repeats):
            told = [socket.counts["session-decided"] for socket in sockets]
            made = await joined(api, sockets, decideWhen="all-rated")
            await rate_all(sockets)
            # About when the decision comes.
            await asyncio.sleep(DECIDE_DELAY * (0.9 + 0.05 * (turn % 5)))
            ack = await sockets[1].emit("add-movie", movie())
            if ack["ok"]:
                meta = (await api.read(made.code, replica=2))["meta"]
                assert (meta["decideAt"], meta["decision"]) == (None, None)
            else:
                assert ack["code"] == "session-decided"
                decision = await decision_of(api, made)
                for socket in sockets:
                    assert (await socket.next("session-decided"))["decision"] == decision
            for socket, before in zip(sockets, told, strict=True):
                assert socket.counts["session-decided"] == before + (not ack["ok"])


@RACES
async def test_whoever_leaves_as_the_others_complete_their_ratings_holds_nothing_up(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 3) as sockets:
        for _ in range(world.repeats):
            made = await joined(api, sockets, decideWhen="all-rated")
            await rate_all(sockets[:1])
            await sockets[2].emit("vote", {"movieID": "a", "rating": 1})
            for name in MOVIES[1:]:
                await sockets[1].emit("vote", {"movieID": name, "rating": 4})
            await asyncio.gather(
                sockets[1].emit("vote", {"movieID": "a", "rating": 4}), sockets[2].emit("leave-session")
            )
            for socket in sockets[:2]:
                decision = (await socket.next("session-decided"))["decision"]
                assert [place["vetoes"] for place in decision["ranking"]] == [0, 0, 0]
            assert await decision_of(api, made) == decision


@pytest.mark.timeout(60)
async def test_a_decision_comes_although_the_only_replica_that_knew_was_killed_and_nobody_is_there(
    redis_server: RedisServer,
) -> None:
    async with replicas(redis_server.url(), 2, grace=1, lease=2) as (doomed, other):
        former, api = Api([doomed]), Api([other])
        made = await former.create(movies=[movie("a")], decideWhen="host")
        await former.close()
        socket = await Socket.open(doomed.url)
        await socket.emit("join-session", made.code, {"token": made.host_token})
        await socket.emit("vote", {"movieID": "a", "rating": 4})
        assert (await socket.emit("update-session", {"decideInSeconds": 5}))["ok"]
        doomed.kill()

        async def decided() -> Any:
            return (await api.read(made.code))["meta"]["decision"]

        decision = await until(decided, "it is decided", timeout=20, poll=0.2)
        assert (decision["movieID"], decision["by"]) == ("a", "ranking")
        await socket.close()
        await api.close()
