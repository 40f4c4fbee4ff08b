"""Movies and ratings: who may change what, what counts, and what is kept of it."""

from __future__ import annotations

import pytest

from app.sessions.errors import SessionError
from app.sessions.permissions import Action
from tests.harness.keys import KEYS
from tests.steps.room import MAX_MOVIES, Room, details


async def test_movies_keep_the_order_in_which_they_came_and_who_added_them(room: Room) -> None:
    await room.join("ann")
    before = await room.now()
    added = await room.add("ann", "m3")
    session = await room.seen()
    assert (added.version, added.added, added.present) == (session.head.version, ["m3"], [])
    assert [(movie.id, movie.added_by) for movie in session.movies.values()] == [
        ("m1", None),
        ("m2", None),
        ("m3", "ann"),
    ]
    assert before <= session.movies["m3"].added_at <= await room.now()
    assert session.movies["m3"].details == {"title": "m3      "}


async def test_a_movie_added_by_the_host_token_has_no_adder(room: Room) -> None:
    await room.add(room.host_token(), "m3")
    assert (await room.seen()).movies["m3"].added_by is None


async def test_movies_that_are_there_or_named_twice_are_added_once(room: Room) -> None:
    await room.join("ann")
    added = await room.add("ann", "m1", "m3", "m3")
    assert (added.added, added.present) == (["m3"], ["m1", "m3"])
    again = await room.add("ann", "m3")
    assert (again.version, again.added, again.present) == (added.version, [], ["m3"])


async def test_as_many_movies_fit_as_are_allowed_and_not_one_more(room: Room) -> None:
    await room.join("ann")
    await room.add("ann", "m3", max_movies=MAX_MOVIES)
    with pytest.raises(SessionError, match="limit-reached: The session has as many movies"):
        await room.add("ann", "m4", max_movies=MAX_MOVIES)
    await room.take_off("ann", "m3")
    await room.add("ann", "m4", max_movies=MAX_MOVIES)


async def test_as_many_bytes_fit_as_are_allowed_and_not_one_more(room: Room) -> None:
    await room.join("ann")
    size = len(details("m1").details)
    with pytest.raises(SessionError, match="limit-reached: The movies of the session are too large"):
        await room.add("ann", "m3", "m4", max_movies=9, max_bytes=4 * size - 1)
    await room.add("ann", "m3", "m4", max_movies=9, max_bytes=4 * size)
    await room.take_off("ann", "m3")
    await room.add("ann", "m5", max_movies=9, max_bytes=4 * size)
    assert (await room.fields())["bytes"] == str(4 * size)


async def test_who_is_not_the_host_takes_only_their_own_movies_off(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.add("bob", "m3")
    for movie in ("m1", "none"):
        with pytest.raises(SessionError, match="forbidden" if movie == "m1" else "movie-not-found"):
            await room.take_off("bob", movie)
    version = await room.take_off("bob", "m3")
    assert (await room.seen()).head.version == version
    await room.take_off("ann", "m1")
    assert list((await room.seen()).movies) == ["m2"]
    # Nothing is left of them.
    assert not {name for name in await room.fields() if name in ("m:m1", "t:1", "m:m3")}


async def test_the_newest_rating_of_each_person_counts(room: Room) -> None:
    for person in ("ann", "bob"):
        await room.join(person)
    await room.vote("ann", "m1", 5)
    await room.vote("bob", "m1", 2)
    assert await room.tally("m1") == (2, 0, 125)
    version = await room.vote("ann", "m1", 1)
    assert await room.tally("m1") == (1, 1, 25)
    assert await room.vote("ann", "m1", 1) == version, "no change"
    await room.vote("ann", "m1", 3)
    assert await room.tally("m1") == (2, 0, 75)
    assert (await room.come_back("ann")).votes == {"m1": 3}


async def test_a_rating_that_is_withdrawn_is_gone(room: Room) -> None:
    await room.join("ann")
    assert await room.vote("ann", "m1", 0) == await room.version(), "nothing to withdraw"
    await room.vote("ann", "m1", 4)
    await room.vote("ann", "m1", 0)
    assert await room.tally("m1") == (0, 0, 0)
    assert (await room.come_back("ann")).votes == {}


async def test_a_rating_needs_a_participant_and_a_movie(room: Room) -> None:
    with pytest.raises(SessionError, match="not-joined"):
        await room.vote(room.host_token(), "m1", 5)
    await room.join("ann")
    with pytest.raises(SessionError, match="movie-not-found"):
        await room.vote("ann", "none", 5)


async def test_whoever_comes_back_gets_their_ratings_of_the_movies_that_are_still_there(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    await room.vote("ann", "m1", 5)
    await room.vote("ann", "m2", 1)
    await room.vote("bob", "m1", 2)
    await room.take_off("ann", "m1")
    assert (await room.come_back("ann")).votes == {"m2": 1}
    await room.take_off("ann", "m2")
    assert (await room.come_back("ann")).votes == {}


async def test_ratings_of_movies_that_are_gone_are_dropped_with_the_next_rating(room: Room) -> None:
    await room.join("ann")
    for number in range(3):
        movie = f"m{number + 3}"
        await room.add("ann", movie)
        await room.vote("ann", movie, 5)
        assert (await room.fields("votes"))["ann"].count(":") == 1
        if number < 2:
            await room.take_off("ann", movie)
    assert (await room.come_back("ann")).votes == {movie: 5}


@pytest.mark.parametrize(("who", "left"), [("ann", 0), ("bob", 1)])
async def test_with_drop_ratings_go_with_those_who_leave(empty: Room, who: str, left: int) -> None:
    await empty.create(departed_ratings="drop")
    for person in ("ann", "bob"):
        await empty.join(person)
    await empty.vote("ann", "m1", 5)
    await empty.leave(who)
    assert (await empty.tally("m1"))[0] == left


@pytest.mark.parametrize("policy", ["keep", "drop"])
async def test_ratings_of_those_whose_grace_time_is_over_count_on(empty: Room, policy: str) -> None:
    await empty.create(departed_ratings=policy)
    for person in ("ann", "bob"):
        await empty.join(person)
    await empty.vote("ann", "m1", 5)
    assert await empty.lose("ann") == 1
    assert await empty.tally("m1") == (1, 0, 100)
    assert (await empty.come_back("ann")).votes == {"m1": 5}


async def test_beyond_the_peak_the_ratings_of_the_longest_absent_go(room: Room) -> None:
    await room.join("ann")
    await room.join("bob")
    for number in range(3):
        await room.join(person := f"guest{number}")
        await room.vote(person, "m1", 5)
        await room.leave(person)
    assert await room.tally("m1") == (3, 0, 300), "as many as were there at one time"
    await room.join("cid")
    await room.vote("cid", "m1", 1)
    await room.leave("cid")
    assert await room.tally("m1") == (2, 1, 200)
    assert set(await room.fields("votes")) == {"guest1", "guest2", "cid"}
    assert (await room.fields())["peak"] == "3"


async def test_who_is_back_is_not_absent(room: Room) -> None:
    absent = f"{KEYS.session(room.code)}:absent"
    await room.join("ann")
    for person in ("bob", "cid"):
        await room.join(person)
        await room.vote(person, "m1", 5)
        await room.leave(person)
    assert await room.redis.execute("ZRANGE", absent, 0, -1) == [b"bob", b"cid"]
    await room.join("bob")
    assert await room.redis.execute("ZRANGE", absent, 0, -1) == [b"cid"]


async def test_whoever_has_rated_nothing_is_not_absent(room: Room) -> None:
    await room.join("ann")
    await room.leave("ann")
    assert await room.fields("votes") == {}
    assert not await room.redis.execute("EXISTS", f"{KEYS.session(room.code)}:absent")


async def test_an_operator_rates_nothing(room: Room) -> None:
    await room.join("ann")
    with pytest.raises(SessionError, match="forbidden"):
        await room.sessions.vote(room.code, room.operator(Action.VOTE), "m1", 5, max_movies=3, connection=None)
