"""Replies by idempotency key: a change is done once, and what is kept for that is bounded, fairly."""

from __future__ import annotations

from functools import partial

import pytest

from app.redis_client.reply import integer, texts
from app.sessions.errors import SessionError
from tests.harness.keys import KEYS
from tests.steps.room import Room

MINUTES = 60_000
MOST_OF_ONE = 65_536
HALF = MOST_OF_ONE // 2
MOST_OF_ALL = 2_097_152
OVERHEAD = 200


async def all_keys(room: Room) -> dict[str, list[str]]:
    """The idempotency keys that are kept of each caller, the oldest first. What is noted of their sizes adds up."""
    kept = await room.fields("replies")
    notes = {name: value for name, value in kept.items() if name.startswith("#")}
    total, found = 0, {}
    for name, value in notes.items():
        if " " in name:
            continue
        first, after, size = (int(number) for number in value.split())
        entries = [notes[f"{name} {number}"].split(" ", 2) for number in range(first, after)]
        assert size == sum(int(entry[1]) for entry in entries)
        for _, bytes_, key in entries:
            assert int(bytes_) == len(f"{name[1:]} {key}{kept[f'{name[1:]} {key}']}") + OVERHEAD
        total += size
        found[name[1:]] = [entry[2] for entry in entries]
    assert total == int(kept.get("bytes", 0))
    assert len(kept) == bool(kept) + sum(1 + 2 * len(entries) for entries in found.values())
    repliers = await room.redis.execute("ZRANGE", f"{KEYS.session(room.code)}:repliers", 0, -1)
    assert set(texts(repliers)) == set(found)
    return found


async def keys(room: Room, whose: str) -> list[str]:
    return (await all_keys(room)).get(whose, [])


async def age(room: Room, milliseconds: int) -> None:
    """Makes all replies so much older."""
    key = KEYS.session(room.code)
    for name, value in (await room.fields("replies")).items():
        if name.startswith("#") and " " in name:
            at, rest = value.split(" ", 1)
            await room.redis.execute("HSET", f"{key}:replies", name, f"{int(at) - milliseconds} {rest}")
    for whose in texts(await room.redis.execute("ZRANGE", f"{key}:repliers", 0, -1)):
        await room.redis.execute("ZINCRBY", f"{key}:repliers", -milliseconds, whose)


def key_for(whose: str, size: int, version: int, letter: str = "x") -> str:
    """A key for a change to this version, so long that its reply takes so many bytes."""
    return letter * (size - OVERHEAD - len(f'{whose} {"f" * 24} ["ok",{version}]'))


async def fill(room: Room, whose: str, size: int = MOST_OF_ONE, letter: str = "x") -> str:
    """Has a reply of so many bytes kept, to a change that changes nothing; its key."""
    key = key_for(whose, size, await room.version(), letter)
    await room.rename(whose, whose, key=key)
    return key


@pytest.fixture
async def room(empty: Room) -> Room:
    await empty.create(capacity=70)
    for person in ("ann", "bob"):
        await empty.join(person, name=person)
    return empty


async def test_a_change_repeated_with_its_key_is_answered_alike(room: Room) -> None:
    first = await room.vote("bob", "m1", 5, key="k")
    await room.vote("bob", "m1", 1)
    assert await room.vote("bob", "m1", 5, key="k") == first
    assert await room.tally("m1") == (0, 1, 0)
    with pytest.raises(SessionError, match="idempotency-mismatch"):
        await room.vote("bob", "m1", 4, key="k")
    assert await room.vote("ann", "m1", 4, key="k") > first, "a key is its caller's"
    assert (await keys(room, "bob"), await keys(room, "ann")) == (["k"], ["k"])
    await room.leave("bob")
    assert await room.vote("bob", "m1", 5, key="k") == first, "whoever has left is answered"


async def test_a_refusal_is_kept_as_well_but_not_one_for_want_of_rights(room: Room) -> None:
    for _ in range(2):
        with pytest.raises(SessionError, match="movie-not-found"):
            await room.vote("bob", "m3", 5, key="k")
        await room.add("ann", "m3")
    with pytest.raises(SessionError, match="forbidden"):
        await room.update("bob", title="x", key="later")
    assert await keys(room, "bob") == ["k"]


async def test_the_keys_of_a_host_token_are_those_of_its_generation(room: Room) -> None:
    await room.update(room.host_token(), title="x", key="k")
    await room.rotate(room.host_token(), key="r")
    assert await keys(room, "h1") == ["k", "r"]
    assert await room.rotate(room.host_token(), key="r") == 2, "also when the token is void"
    await room.update(room.host_token(2), title="y", key="k")
    assert await keys(room, "h2") == ["k"]


async def test_a_reply_lives_as_long_as_the_session(room: Room) -> None:
    await room.vote("bob", "m1", 0, key="k")
    assert await room.keeps("replies")
    assert await room.keeps("repliers")


async def test_after_ten_minutes_a_key_is_new_again(room: Room) -> None:
    first = await room.vote("bob", "m1", 5, key="old")
    await age(room, 5 * MINUTES)
    second = await room.vote("bob", "m1", 4, key="new")
    await age(room, 4 * MINUTES)
    assert await room.vote("bob", "m1", 5, key="old") == first
    await age(room, MINUTES)
    assert await room.vote("bob", "m1", 4, key="new") == second
    assert await keys(room, "bob") == ["new"]
    assert await room.vote("bob", "m1", 5, key="old") > second
    assert await keys(room, "bob") == ["new", "old"]


async def test_whoever_asks_again_has_no_reply_left_that_has_expired(room: Room) -> None:
    for number in range(6):
        await room.vote("bob", "m1", 0, key=f"k{number}")
    await age(room, 10 * MINUTES)
    await room.vote("bob", "m1", 0, key="k5")
    assert await keys(room, "bob") == ["k5"]


async def test_each_write_forgets_three_replies_that_have_expired(room: Room) -> None:
    for number in range(3):
        await room.vote("bob", "m1", number, key=f"k{number}")
    await room.join("cid")
    for number in range(2):
        await room.vote("cid", "m1", number, key=f"k{number}")
    await age(room, 10 * MINUTES)
    await room.vote("cid", "m2", 1)
    assert (len(await keys(room, "bob")), len(await keys(room, "cid"))) == (3, 2), "nothing is written"
    await room.vote("ann", "m1", 5, key="k")
    assert (await keys(room, "bob"), await keys(room, "cid")) == ([], ["k0", "k1"])
    await room.vote("ann", "m1", 4, key="l")
    assert (await keys(room, "cid"), await keys(room, "ann")) == ([], ["k", "l"])


async def test_those_whose_oldest_reply_is_younger_by_now_are_looked_at_later(room: Room) -> None:
    await room.vote("bob", "m1", 5, key="old")
    await age(room, 10 * MINUTES)
    await room.vote("bob", "m1", 5, key="new")
    repliers = f"{KEYS.session(room.code)}:repliers"
    await room.redis.execute("ZADD", repliers, 1, "bob")
    await room.vote("ann", "m1", 5, key="k")
    assert await room.now() + 9 * MINUTES < integer(await room.redis.execute("ZSCORE", repliers, "bob"))
    # One of whom there is nothing is not looked at again.
    await room.redis.execute("ZADD", repliers, 1, "nobody")
    await room.vote("ann", "m1", 4, key="l")
    assert (await keys(room, "bob"), await keys(room, "ann")) == (["new"], ["k", "l"])


async def test_whoever_has_replies_is_looked_at_when_the_oldest_expires(room: Room) -> None:
    await room.vote("bob", "m1", 5, key="k")
    repliers = f"{KEYS.session(room.code)}:repliers"
    due = integer(await room.redis.execute("ZSCORE", repliers, "bob"))
    assert await room.now() + 10 * MINUTES - 5000 < due <= await room.now() + 10 * MINUTES
    await age(room, MINUTES)
    await room.vote("bob", "m1", 4, key="l")
    assert integer(await room.redis.execute("ZSCORE", repliers, "bob")) == due - MINUTES


async def test_of_each_the_newest_two_hundred_are_kept(room: Room) -> None:
    names = [f"k{number}" for number in range(201)]
    for name in names[:-1]:
        await room.vote("bob", "m1", 0, key=name)
    assert await keys(room, "bob") == names[:-1]
    await room.vote("bob", "m1", 0, key=names[-1])
    assert await keys(room, "bob") == names[1:]


async def test_of_each_so_many_bytes_are_kept(room: Room) -> None:
    first, second = [await fill(room, "bob", HALF, letter) for letter in "ab"]
    assert await keys(room, "bob") == [first, second]
    third = await fill(room, "bob", HALF + 1, "c")
    assert await keys(room, "bob") == [third]
    whole = await fill(room, "bob")
    assert await keys(room, "bob") == [whole]
    await fill(room, "bob", MOST_OF_ONE + 1)
    assert await all_keys(room) == {}, "one that is too long is not kept, though the others gave way"
    await fill(room, "bob", MOST_OF_ALL + 1)
    assert await all_keys(room) == {}


async def crowded(room: Room, number: int = MOST_OF_ALL // HALF) -> list[str]:
    """Ann, the host, Bob and others have half of what they may, and all together as much as fits."""
    people = ["ann", "bob", *(f"p{number}" for number in range(number - 2))]
    for person in people:
        if person.startswith("p"):
            await room.join(person, name=person)
        await fill(room, person, HALF)
    assert await without(room, people) == []
    return people


async def without(room: Room, people: list[str]) -> list[str]:
    """Those of whom no reply is kept."""
    kept = await all_keys(room)
    return [person for person in people if person not in kept]


async def test_where_all_is_full_who_has_more_gives_way_the_oldest_first_but_never_the_host(room: Room) -> None:
    people = await crowded(room)
    await room.join("cid", name="cid")
    first = await fill(room, "cid", 1000)
    assert (await without(room, people), await keys(room, "cid")) == (["bob"], [first])
    # There is room now.
    second = await fill(room, "cid", 1000, "y")
    assert (await without(room, people), await keys(room, "cid")) == (["bob"], [first, second])


async def test_where_nobody_has_more_ones_own_give_way(room: Room) -> None:
    people = await crowded(room)
    key = await fill(room, "p3", HALF, "y")
    assert (await keys(room, "p3"), await without(room, people)) == ([key], [])


async def test_who_has_left_gives_way_to_anybody(room: Room) -> None:
    people = await crowded(room)
    await room.leave("p5")
    await fill(room, "p3", HALF, "y")
    assert (len(await keys(room, "p3")), await without(room, people)) == (2, ["p5"])


async def test_not_only_those_with_the_oldest_replies_are_looked_at(room: Room) -> None:
    people = await crowded(room)
    for person in people[20:]:
        await room.leave(person)

    # Where some are looked at depends on the time, so those who have left may be missed.
    for letter in "abc":
        await fill(room, "p3", HALF, letter)
        if len(await keys(room, "p3")) == 2:
            break
    assert len(await keys(room, "p3")) == 2
    assert len(gone := await without(room, people)) == 1
    assert gone[0] in people[20:]


async def test_the_host_the_holder_of_the_host_token_and_the_token_itself_give_way_to_nobody(room: Room) -> None:
    await room.update(room.host_token(), title="x", key=key_for("h1", HALF, await room.version() + 1))
    await room.join("stranger", "a.bob", credential=room.host_token())
    await room.put(host="ann")
    people = ["h1", *await crowded(room, MOST_OF_ALL // HALF - 1)]
    await room.join("cid", name="cid")
    await fill(room, "cid", 1000)
    assert await without(room, people) == ["p0"]


async def test_a_long_result_is_kept_as_what_makes_it_anew(room: Room) -> None:
    movies = [f"{number:04}" + "m" * 40 for number in range(100)]
    add = partial(room.add, "ann", max_movies=200, max_bytes=1_000_000)
    await add(*movies[::3])
    first = await add(*movies, key="many")
    assert (len(first.added), first.present) == (66, movies[::3])
    assert len((await room.fields("replies"))["ann many"]) < 200
    assert await add(*movies, key="many") == first


async def test_a_result_of_four_kilobytes_is_not_long(room: Room) -> None:
    add = partial(room.add, "ann", max_movies=200, max_bytes=1_000_000)
    for number, length in enumerate((4096, 4097)):
        version = await room.version() + 1
        movie = str(number) * (length - len(f'["ok",{version},[""],{{}}]'))
        first = await add(movie, key=f"k{number}")
        assert await add(movie, key=f"k{number}") == first
        kept = (await room.fields("replies"))[f"ann k{number}"]
        assert kept[25:] == (f'["ok",{version},["{movie}"],{{}}]' if length == 4096 else f"~{version} 1")
