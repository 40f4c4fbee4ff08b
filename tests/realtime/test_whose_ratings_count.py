"""Whose ratings count: those of everybody in the session, and of no more absent people than were ever there at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.here import Here
from tests.harness.people import Api, Made, movie
from tests.harness.sockets import Socket
from tests.harness.waiting import until


async def join_and_rate(replica: Here, made: Made, rating: int, **options: Any) -> tuple[Socket, dict[str, Any]]:
    socket = await Socket.open(replica.url)
    joined = await socket.emit("join-session", made.code, options)
    assert (await socket.emit("vote", {"movieID": "a", "rating": rating}))["ok"]
    return socket, joined


async def ratings(api: Api, made: Made) -> tuple[int, int]:
    (entry,) = (await api.read(made.code))["sessionData"]["movies"]
    return entry["count"], entry["vetoes"]


async def out(api: Api, made: Made, people: int) -> None:
    """Waits until only so many are in the session."""

    async def gone() -> bool:
        return len((await api.read(made.code))["sessionData"]["participants"]) == people

    await until(gone, "the grace time is over")


async def test_nobody_rates_more_than_once_by_leaving_and_joining_again(brief: Here, brief_api: Api) -> None:
    made = await brief_api.create(movies=[movie("a")])
    stays, _ = await join_and_rate(brief, made, 5)
    stuffer = await Socket.open(brief.url)
    for _ in range(20):
        assert (await stuffer.emit("join-session", made.code))["ok"]
        assert (await stuffer.emit("vote", {"movieID": "a", "rating": 1}))["ok"]
        assert (await stuffer.emit("leave-session"))["ok"]
    assert await ratings(brief_api, made) == (1, 0)
    await stuffer.close()
    await stays.close()


async def test_a_kick_takes_the_ratings_along(brief: Here, brief_api: Api) -> None:
    made = await brief_api.create(movies=[movie("a")])
    guest, joined = await join_and_rate(brief, made, 1)
    path = f"{made.path}/participants/{joined['participantID']}"
    host, _ = await join_and_rate(brief, made, 5, token=made.host_token)
    assert (await brief_api.call("DELETE", path, token=made.host_token)).status_code == 200
    assert await ratings(brief_api, made) == (1, 0)
    await guest.close()
    await host.close()


@pytest.mark.parametrize("leavers", ["drop", "keep"])
async def test_ratings_of_the_absent_count_for_as_many_as_were_ever_present_at_once(
    brief: Here, brief_api: Api, leavers: str
) -> None:
    made = await brief_api.create(movies=[movie("a")], leaverRatings=leavers)
    stays, _ = await join_and_rate(brief, made, 5)
    absent = []
    for number in range(5):
        socket, joined = await join_and_rate(brief, made, 1 + number)
        if leavers == "keep" and number % 2:
            await socket.emit("leave-session")
        await socket.close()
        await out(brief_api, made, 1)
        absent.append(joined["token"])
    # Two were the most at one time, so of the absent the last two count; the first, who gave the veto, does not.
    assert await ratings(brief_api, made) == (3, 0)

    for token, votes in ((absent[-1], {"a": 5}), (absent[0], {})):
        back = await Socket.open(brief.url)
        assert (await back.emit("join-session", made.code, {"token": token}))["votes"] == votes
        await back.close()
        await out(brief_api, made, 1)
    assert await ratings(brief_api, made) == (3, 0)
    await stays.close()


async def test_what_is_kept_of_ratings_does_not_grow_with_those_who_come_and_go(brief: Here, brief_api: Api) -> None:
    """However many come, vote and vanish."""
    made = await brief_api.create(movies=[movie("a")], capacity=3)
    stays, _ = await join_and_rate(brief, made, 5)
    for turn in range(4):
        visitors = [(await join_and_rate(brief, made, 1 + (turn + n) % 5))[0] for n in range(2)]
        for visitor in visitors:
            await visitor.close()
        await out(brief_api, made, 1)
    count, vetoes = await ratings(brief_api, made)
    assert count + vetoes == 1 + 3
    await stays.close()
