"""Movies and ratings: what is taken, what is refused, how ratings count, and that votes stay private."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.harness.people import Api, People, movie

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Ratings of one movie -> count, vetoes, score, compatibility; computed by hand.
VECTORS: dict[tuple[int, ...], tuple[int, int, float, int]] = {
    (): (0, 0, 0, 0),
    (5,): (1, 0, 100, 100),
    (2,): (1, 0, 25, 25),
    (3, 4): (2, 0, 62.5, 63),
    (1,): (0, 1, 0, 0),
    (5, 5, 1): (2, 1, 100, 24),
    (4, 1, 1): (1, 2, 75, 2),
    (5, 1): (1, 1, 100, 9),
    (2, 2, 3): (3, 0, 33.33, 33),
    (5, 5, 4): (3, 0, 91.67, 92),
}

BAD_MOVIES: dict[str, Any] = {
    "no id": {"title": "A"},
    "no title": {"id": "a"},
    "empty id": {"id": "", "title": "A"},
    "white id": {"id": " a", "title": "A"},
    "number as id": {"id": 5, "title": "A"},
    "long id": {"id": "x" * 65, "title": "A"},
    "slash in id": {"id": "a/b", "title": "A"},
    "bar in id": {"id": "a|b", "title": "A"},
    "dots as id": {"id": "..", "title": "A"},
    "control in id": {"id": "a\u0000", "title": "A"},
    "empty title": {"id": "a", "title": ""},
    "white title": {"id": "a", "title": "  "},
    "long title": {"id": "a", "title": "x" * 201},
    "control in title": {"id": "a", "title": "a\nb"},
    "override in title": {"id": "a", "title": "a\u202eb"},
    "year as text": {"id": "a", "title": "A", "year": "1999"},
    "year too early": {"id": "a", "title": "A", "year": 1800},
    "year too late": {"id": "a", "title": "A", "year": 3000},
    "http poster": {"id": "a", "title": "A", "posterUrl": "http://x.org/a.jpg"},
    "script as poster": {"id": "a", "title": "A", "posterUrl": "javascript:alert(1)"},
    "data as poster": {"id": "a", "title": "A", "posterUrl": "data:image/png;base64,AA"},
    "relative poster": {"id": "a", "title": "A", "posterUrl": "//x.org/a.jpg"},
    "quote in poster": {"id": "a", "title": "A", "posterUrl": 'https://x.org/a"onload="x'},
    "space in poster": {"id": "a", "title": "A", "posterUrl": "https://x.org/a b"},
    "poster without host": {"id": "a", "title": "A", "posterUrl": "https://"},
    "long poster": {"id": "a", "title": "A", "posterUrl": "https://x.org/" + "x" * 2048},
    "long overview": {"id": "a", "title": "A", "overview": "x" * 1001},
    "genres as text": {"id": "a", "title": "A", "genres": "Drama"},
    "many genres": {"id": "a", "title": "A", "genres": ["x"] * 21},
    "empty genre": {"id": "a", "title": "A", "genres": [""]},
}


async def test_one_movie_or_many_are_added_and_seen_by_all(api: Api, people: People) -> None:
    made = await api.create()
    host, guest = await people.join(made.code), await people.join(made.code, replica=1)
    one = await host.do("add-movie", **movie("a", year=1999, posterUrl="https://x.org/a.jpg", genres=["Drama"]))
    many = await guest.do("add-movie", movies=[movie("b"), movie("c", overview="Ünïcödé 🎬")])
    assert (one["added"], one["present"]) == (["a"], [])
    assert (many["added"], many["present"]) == (["b", "c"], [])
    data = await host.at(many["version"])
    assert [(each["id"], each["addedBy"]) for each in data["movies"]] == [
        ("a", host.id),
        ("b", guest.id),
        ("c", guest.id),
    ]
    first, _, third = data["movies"]
    assert set(first) == {
        *("id", "title", "year", "posterUrl", "genres"),
        *("addedBy", "addedAt", "count", "vetoes", "score", "compatibility", "rank"),
    }
    assert third["overview"] == "Ünïcödé 🎬"


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_movies_are_added_all_or_none(api: Api, people: People, transport: str) -> None:
    made = await api.create()
    person = await people.join(made.code)
    for why, bad in BAD_MOVIES.items():
        payload = {"movies": [movie(), bad]}
        if transport == "http":
            answer = await api.call("POST", f"{made.path}/movies", token=person.token, json=payload)
            code = answer.json()["code"]
        else:
            code = (await person.do("add-movie", **payload))["code"]
        assert code == "invalid-payload", why
    assert (await api.read(made.code))["sessionData"]["movies"] == []


async def test_a_movie_that_is_there_stays_as_it_is(api: Api, people: People) -> None:
    made = await api.create(movies=[{"id": "a", "title": "first"}])
    person = await people.join(made.code)
    ack = await person.do(
        "add-movie", movies=[{"id": "a", "title": "second"}, movie("b"), {"id": "b", "title": "third"}]
    )
    assert (ack["added"], ack["present"]) == (["b"], ["a"])
    again = await person.do("add-movie", id="b", title="fourth")
    assert (again["version"], again["added"], again["present"]) == (ack["version"], [], ["b"])
    titles = [each["title"] for each in (await person.at(ack["version"]))["movies"]]
    assert titles[0] == "first"
    assert titles[1] not in ("third", "fourth")


async def test_a_session_holds_500_movies_and_not_one_more(api: Api, people: People) -> None:
    made = await api.create(movies=[movie() for _ in range(499)])
    person = await people.join(made.code)
    two = await person.do("add-movie", movies=[movie(), movie()])
    assert two["code"] == "limit-reached"
    assert (await person.do("add-movie", **movie("last")))["ok"]
    assert (await person.do("add-movie", **movie()))["code"] == "limit-reached"
    answer = await api.call("POST", f"{made.path}/movies", token=person.token, json=movie())
    assert (answer.status_code, answer.json()["code"]) == (409, "limit-reached")
    assert (await person.do("remove-movie", movieID="last"))["ok"]
    assert (await person.do("add-movie", **movie()))["ok"]


async def test_the_movies_of_a_session_have_a_size_together(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code)
    codes = []
    for _ in range(4):
        large = [movie(overview="ä" * 1000) for _ in range(80)]
        codes.append((await person.do("add-movie", movies=large)).get("code"))
    assert codes == [None, None, None, "limit-reached"]


async def test_removing_takes_the_ratings_along_and_the_id_can_be_used_again(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code)
    await person.do("add-movie", id="a", title="A")
    await person.do("vote", movieID="a", rating=5)
    await person.do("remove-movie", movieID="a")
    ack = await person.do("add-movie", id="a", title="A again")
    (again,) = (await person.at(ack["version"]))["movies"]
    assert (again["count"], again["compatibility"]) == (0, 0)
    rejoined = await person.client.emit("join-session", made.code, ack=True)
    assert rejoined["votes"] == {}


async def test_movie_ids_of_any_script_work_in_paths(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code)
    for movie_id in ("tt0133093", "映画", "a b", "50%", "a?b", "a#b", "a+b", "é", "join", "vote", ".a"):
        added = await api.call("POST", f"{made.path}/movies", token=person.token, json={"id": movie_id, "title": "x"})
        assert added.status_code == 200, movie_id
        from_path = "".join(f"%{byte:02X}" for byte in movie_id.encode())
        voted = await api.call("PUT", f"{made.path}/movies/{from_path}/vote", token=person.token, json={"rating": 5})
        assert voted.status_code == 200, movie_id
        gone = await api.call("DELETE", f"{made.path}/movies/{from_path}", token=person.token)
        assert gone.status_code == 200, movie_id


async def test_ratings_count_as_the_contract_says(api: Api, people: People) -> None:
    made = await api.create(movies=[movie(f"v{number}") for number in range(len(VECTORS))])
    voters = await asyncio.gather(*(people.join(made.code, replica=number) for number in range(3)))
    versions = [0]
    for number, ratings in enumerate(VECTORS):
        for voter, rating in zip(voters, ratings, strict=False):
            versions.append((await voter.do("vote", movieID=f"v{number}", rating=rating))["version"])
    data = await voters[0].at(max(versions))
    counted = [(each["count"], each["vetoes"], each["score"], each["compatibility"]) for each in data["movies"]]
    assert counted == list(VECTORS.values())


async def test_rank_orders_by_compatibility_vetoes_ratings_and_age(api: Api, people: People) -> None:
    made = await api.create(
        movies=[movie(name) for name in ("unrated", "vetoed", "late 75", "twice 75", "best", "unrated 2")]
    )
    one, two = await people.join(made.code), await people.join(made.code, replica=1)
    for voter, movie_id, rating in [
        (one, "vetoed", 1),
        (one, "late 75", 4),
        (one, "twice 75", 4),
        (two, "twice 75", 4),
        (two, "best", 5),
    ]:
        ack = await voter.do("vote", movieID=movie_id, rating=rating)
    data = await one.at(ack["version"])
    ranks = {each["id"]: each["rank"] for each in data["movies"]}
    assert sorted(ranks, key=lambda movie_id: ranks[movie_id]) == [
        *("best", "twice 75", "late 75", "unrated", "unrated 2", "vetoed")
    ]
    assert sorted(ranks.values()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_a_rating_can_be_changed_and_withdrawn(api: Api, people: People, transport: str) -> None:
    made = await api.create(movies=[movie("a")])
    person = await people.join(made.code)
    route = f"{made.path}/movies/a/vote"

    async def rate(rating: int | None) -> dict[str, Any]:
        if transport == "socket" and rating is None:
            return await person.do("withdraw-vote", movieID="a")
        if transport == "socket":
            return await person.do("vote", movieID="a", rating=rating)
        if rating is None:
            answer = await api.call("DELETE", route, token=person.token, replica=1)
        else:
            answer = await api.call("PUT", route, token=person.token, replica=2, json={"rating": rating})
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    shown = []
    for rating in (5, 5, 1, 3, None, None):
        ack = await rate(rating)
        (entry,) = (await person.at(ack["version"]))["movies"]
        shown.append((entry["count"], entry["vetoes"], entry["compatibility"], ack["version"]))
    first = shown[0][3]
    assert shown == [
        (1, 0, 100, first),
        (1, 0, 100, first),
        (0, 1, 0, first + 1),
        (1, 0, 50, first + 2),
        (0, 0, 0, first + 3),
        (0, 0, 0, first + 3),
    ]


@pytest.mark.parametrize(("leavers", "counts"), [("keep", (1, 100)), ("drop", (0, 0)), (None, (0, 0))])
async def test_the_ratings_of_leavers_are_kept_or_dropped(
    api: Api, people: People, leavers: str | None, counts: tuple[int, int]
) -> None:
    made = await api.create(movies=[movie("a")], leaverRatings=leavers)
    stays, leaves = await people.join(made.code), await people.join(made.code)
    await leaves.do("vote", movieID="a", rating=5)
    ack = await leaves.do("leave-session")
    (entry,) = (await stays.at(ack["version"]))["movies"]
    assert (entry["count"], entry["compatibility"]) == counts


async def test_a_leaver_who_comes_back_rates_once_still(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("a")], leaverRatings="keep")
    stays, person = await people.join(made.code), await people.join(made.code)
    await person.do("vote", movieID="a", rating=5)
    await person.do("leave-session")
    back = await people.join(made.code, token=person.token)
    assert back.ack["votes"] == {"a": 5}
    ack = await back.do("vote", movieID="a", rating=2)
    (entry,) = (await stays.at(ack["version"]))["movies"]
    assert (entry["count"], entry["score"]) == (1, 25)


async def test_nothing_that_another_sees_tells_a_token_a_socket_or_who_voted_what(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("a"), movie("b"), movie("c")])
    watcher = await people.join(made.code, transport="default", frames=True)
    owner = await people.join(made.code, token=made.host_token, name="Owner", replica=1)
    voters = [await people.join(made.code, replica=number) for number in range(3)]
    for voter, rating in zip(voters, (1, 3, 5), strict=True):
        await voter.do("vote", movieID="a", rating=rating)
        await voter.do("vote", movieID="b", rating=6 - rating)
    await voters[0].do("withdraw-vote", movieID="b")
    await watcher.at(voters[-1].ack["version"])
    sockets = [str(person.client.id) for person in (owner, *voters)]
    await voters[1].client.drop()
    ack = await owner.do("kick-participant", participantID=voters[2].id)
    data = await watcher.at(ack["version"])
    seen = "".join(json.dumps(event.args) for event in watcher.client.events)
    assert owner.id in seen
    assert voters[2].id in seen
    for person in (owner, *voters):
        assert person.token not in seen
    assert made.host_token not in seen
    assert not [socket for socket in sockets if socket in seen]
    assert {key for each in data["participants"] for key in each} == {
        *("id", "name", "role", "connected", "joinedAt", "rated")
    }
    answers = [await api.call("GET", made.path), await api.join(made.code)]
    assert not [answer for answer in answers for person in (owner, *voters) if person.token in answer.text]
