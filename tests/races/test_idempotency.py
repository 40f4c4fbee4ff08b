"""One idempotency key that arrives many times at once, over both transports and through all replicas."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.people import Api, Made, movie
from tests.harness.sockets import Socket, open_sockets
from tests.harness.world import RACES, World

TIMES = 20

Request = tuple[str, str, dict[str, Any]]
"""An event, what it is over HTTP ("METHOD path"), and the payload of both."""

CHANGES: dict[str, Callable[[str], Request]] = {
    "add-movie": lambda _: ("add-movie", "POST /movies", {"movies": [movie("new")]}),
    "remove-movie": lambda _: ("remove-movie", "DELETE /movies/m1", {"movieID": "m1"}),
    "vote": lambda _: ("vote", "PUT /movies/m1/vote", {"movieID": "m1", "rating": 4}),
    "withdraw-vote": lambda _: ("withdraw-vote", "DELETE /movies/m2/vote", {"movieID": "m2"}),
    "update-session": lambda _: ("update-session", "PATCH ", {"title": "Friday"}),
    "kick-participant": lambda guest: ("kick-participant", f"DELETE /participants/{guest}", {"participantID": guest}),
}


@RACES
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_sent_twenty_times_at_once_is_made_once_and_answered_alike(
    world: World, api: Api, change: str
) -> None:
    async with open_sockets(world.urls, TIMES // 2 + 1) as sockets:
        guest, *ours = sockets
        # All changes together are more than fifty.
        for turn in range(min(world.repeats, 10)):
            made = await api.create(movies=[movie("m1"), movie("m2")])
            host = await ours[0].emit("join-session", made.code)
            for socket in ours[1:]:
                assert (await socket.emit("join-session", made.code, {"token": host["token"]}))["ok"]
            kicked = await guest.emit("join-session", made.code)
            await ours[0].emit("vote", {"movieID": "m2", "rating": 5})
            before = (await api.read(made.code))["meta"]["version"]
            event, route, payload = CHANGES[change](kicked["participantID"])

            answers = await asyncio.gather(
                *(socket.emit(event, {**payload, "mid": f"key{turn}"}) for socket in ours),
                *(
                    by_http(api, made, route, payload, token=host["token"], key=f"key{turn}", replica=number % 3)
                    for number in range(TIMES - len(ours))
                ),
            )

            assert len(answers) == TIMES
            assert answers[0]["ok"], answers[0]
            assert all(answer == answers[0] for answer in answers)
            assert answers[0]["version"] == before + 1
            assert (await api.read(made.code))["meta"]["version"] == before + 1


@RACES
@pytest.mark.parametrize("change", ["DELETE ", "DELETE /participants/"])
async def test_leaving_and_ending_asked_for_twenty_times_at_once_are_answered_alike(
    world: World, api: Api, change: str
) -> None:
    async with open_sockets(world.urls, 2) as (socket, other):
        for _ in range(world.repeats):
            made = await api.create()
            host = await socket.emit("join-session", made.code)
            assert (await other.emit("join-session", made.code))["ok"]
            route = change + (host["participantID"] if change.endswith("/") else "")
            answers = await asyncio.gather(
                *(
                    by_http(api, made, route, {}, token=host["token"], key="once", replica=number % 3)
                    for number in range(TIMES)
                )
            )
            assert all(answer == {"ok": True, "version": 4, "now": answers[0]["now"]} for answer in answers), answers


@RACES
async def test_a_hand_over_asked_for_twenty_times_at_once_is_made_once(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 3) as (host, heir, third):
        for _ in range(world.repeats):
            made = await api.create()
            assert (await host.emit("join-session", made.code, {"token": made.host_token}))["ok"]
            chosen = (await heir.emit("join-session", made.code))["participantID"]
            assert (await third.emit("join-session", made.code))["ok"]
            answers = await asyncio.gather(
                *(host.emit("transfer-host", {"participantID": chosen, "mid": "once"}) for _ in range(TIMES))
            )
            assert all(answer == {"ok": True, "version": 5, "now": answers[0]["now"]} for answer in answers), answers


@RACES
async def test_a_session_asked_for_twenty_times_at_once_is_made_once(world: World, api: Api) -> None:
    for turn in range(world.repeats):
        answers = await asyncio.gather(
            *(
                api.call(
                    "POST",
                    "/api/session/create",
                    json={"title": "one"},
                    key=f"make-one-session-{turn}",
                    replica=number % 3,
                )
                for number in range(TIMES)
            )
        )
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1


@RACES
async def test_different_keys_at_once_are_different_changes(world: World, api: Api) -> None:
    async with open_sockets(world.urls, 9) as sockets:
        for _ in range(world.repeats):
            made = await api.create()
            first = await sockets[0].emit("join-session", made.code)
            for socket in sockets[1:]:
                await socket.emit("join-session", made.code, {"token": first["token"]})
            numbers = itertools.count()
            acks = await asyncio.gather(
                *(add(socket, next(numbers)) for socket in sockets for _ in range(5)),
            )
            versions = sorted(ack["version"] for ack in acks)
            assert versions == list(range(versions[0], versions[0] + 45))
            assert len((await api.read(made.code))["sessionData"]["movies"]) == 45


async def add(socket: Socket, number: int) -> dict[str, Any]:
    return await socket.emit("add-movie", {**movie(f"n{number}"), "mid": f"n{number}"})


async def by_http(
    api: Api, made: Made, route: str, payload: dict[str, Any], *, token: str, key: str, replica: int
) -> dict[str, Any]:
    method, _, path = route.partition(" ")
    answer = await api.call(method, made.path + path, replica=replica, token=token, key=key, json=payload or None)
    body: dict[str, Any] = answer.json()
    return body
