"""Many people rating many movies at once."""

from __future__ import annotations

import asyncio
import random

from tests.harness.people import Api, movie
from tests.harness.reckoning import figures, ranks
from tests.harness.sockets import open_sockets
from tests.harness.world import RACES, World

PEOPLE = 50
MOVIES = 40


@RACES
async def test_what_fifty_people_rate_forty_movies_at_once_adds_up(world: World, api: Api) -> None:
    drawn = random.Random(40)
    made = await api.create(movies=[movie(f"m{number}") for number in range(MOVIES)])
    effective: dict[str, dict[int, int]] = {f"m{number}": {} for number in range(MOVIES)}
    async with open_sockets(world.urls, PEOPLE) as sockets:
        await asyncio.gather(*(socket.emit("join-session", made.code) for socket in sockets))
        for _ in range(world.repeats):
            votes = [(person, name, drawn.randint(0, 5)) for person in range(PEOPLE) for name in effective]
            drawn.shuffle(votes)
            acks = await asyncio.gather(
                *(
                    sockets[person].emit("vote", {"movieID": name, "rating": rating})
                    if rating
                    else sockets[person].emit("withdraw-vote", {"movieID": name})
                    for person, name, rating in votes
                )
            )
            assert all(ack["ok"] for ack in acks)
            for person, name, rating in votes:
                effective[name][person] = rating
            newest = max(ack["version"] for ack in acks)
            for replica in range(3):
                read = await api.read(made.code, replica=replica)
                assert read["meta"]["version"] == newest
                check(read["sessionData"]["movies"], effective)
            for seen in await asyncio.gather(*(socket.at_version(newest) for socket in sockets)):
                assert seen["movies"] == read["sessionData"]["movies"]


def check(movies: list[dict[str, object]], effective: dict[str, dict[int, int]]) -> None:
    expected = {name: figures(rating for rating in ratings.values() if rating) for name, ratings in effective.items()}
    rank = ranks(expected)
    shown = {
        str(entry["id"]): {key: entry[key] for key in ("count", "vetoes", "score", "compatibility", "rank")}
        for entry in movies
    }
    assert shown == {name: {**expected[name], "rank": rank[name]} for name in expected}
