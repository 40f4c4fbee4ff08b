"""Steps: deciding, by the host, by time and once everybody has rated; taking it back; what is hidden until then."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Final

import orjson
import pytest

from app.redis_client.client import Script
from app.redis_client.reply import array, integer
from app.sessions.answer_fields import Clearing
from app.sessions.decision import DecisionEntry
from app.sessions.errors import SessionError
from app.sessions.rating import Tally
from app.store.scripts import SESSION_SCRIPTS
from tests.harness.keys import KEYS
from tests.steps.room import GRACE, Room

DELAY: Final = 60_000


async def decided(room: Room) -> DecisionEntry:
    decision = (await room.seen()).decision
    assert decision is not None
    return decision


async def refused(room: Room, code: str) -> SessionError:
    with pytest.raises(SessionError) as failure:
        await room.decide("ann")
    assert failure.value.code == code
    return failure.value


@pytest.fixture
async def room(room: Room) -> Room:
    """Ann, who is the host, Bob, and two movies."""
    for person in ("ann", "bob"):
        await room.join(person)
    return room


async def test_the_first_of_the_ranking_is_decided_for(room: Room) -> None:
    await room.vote("ann", "m1", 3)
    await room.vote("bob", "m2", 5)
    made = await room.decide("ann")
    assert (made.movie, made.by, made.tied) == ("m2", "ranking", ())
    assert list(made.ranking.items()) == [("m2", Tally(1, 0, 100)), ("m1", Tally(1, 0, 50))]
    seen = await room.seen()
    assert (seen.decision, seen.phase, seen.head) == (made, "decided", made.head)


async def test_equal_movies_are_decided_by_lot(room: Room) -> None:
    for person, movie in (("ann", "m1"), ("bob", "m2")):
        await room.vote(person, movie, 4)
    made = await room.decide("ann")
    assert (made.by, made.tied) == ("lot", ("m1", "m2"))
    assert made.movie in made.tied


async def test_vetoed_and_unrated_movies_are_not_decided_for(room: Room) -> None:
    await refused(room, "nothing-to-decide")
    await room.vote("ann", "m1", 1)
    await refused(room, "nothing-to-decide")
    # It ranks behind the one that nobody has rated.
    await room.add("ann", "m3")
    await room.vote("ann", "m3", 2)
    for person in ("bob", "cid", "dan"):
        await room.join(person)
        await room.vote(person, "m3", 1)
    made = await room.decide("ann")
    assert next(iter(made.ranking)) == "m2"
    assert (made.movie, made.by) == ("m3", "ranking")


async def test_the_host_may_name_any_listed_movie(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    with pytest.raises(SessionError, match="movie-not-found"):
        await room.decide("ann", "m9")
    made = await room.decide("ann", "m1")
    assert (made.movie, made.by, made.tied) == ("m1", "host", ())


async def test_only_the_host_decides_and_reopens(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    for attempt in (room.decide("bob"), room.reopen("bob")):
        with pytest.raises(SessionError, match="forbidden"):
            await attempt


async def test_while_decided_ratings_and_movies_stay_and_a_second_decision_is_told_the_first(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    made = await room.decide("ann")
    for attempt in (
        room.vote("bob", "m1", 3),
        room.vote("bob", "m2", 0),
        room.add("ann", "m3"),
        room.take_off("ann", "m1"),
        room.update("ann", timer=60_000),
        room.update("ann", decide_when="all-rated", decide_delay=DELAY),
    ):
        with pytest.raises(SessionError, match="session-decided"):
            await attempt
    assert (await refused(room, "session-decided")).decision == made.shown
    assert await room.update("ann", title="Other things change") > made.head.version


async def test_a_repeated_decision_is_answered_alike(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    made = await room.decide("ann", key="once")
    assert await room.decide("ann", key="once") == made
    await room.reopen("ann")
    assert await room.decide("ann", key="once") == made


async def test_what_was_decided_stays_whoever_leaves(room: Room) -> None:
    await room.update(room.host_token(), title="x")
    await room.vote("bob", "m2", 5)
    made = await room.decide("ann")
    await room.leave("bob")
    assert await decided(room) == made


@pytest.mark.parametrize("clear", [None, "ratings", "movies"])
async def test_reopening_goes_on_with_the_same_people(room: Room, clear: Clearing | None) -> None:
    with pytest.raises(SessionError, match="not-decided"):
        await room.reopen("ann")
    await room.update("ann", decide_when="all-rated", decide_delay=DELAY, timer=DELAY)
    await room.vote("bob", "m2", 5)
    await room.decide("ann")
    await room.reopen("ann", clear)
    seen = await room.seen()
    assert (seen.decision, seen.decide_at, seen.decide_when) == (None, None, "host")
    assert list(seen.participants) == ["ann", "bob"]
    assert list(seen.movies) == ([] if clear == "movies" else ["m1", "m2"])
    if clear != "movies":
        assert await room.tally("m2") == ((1, 0, 100) if clear is None else (0, 0, 0))
    assert (await room.come_back("bob")).votes == ({"m2": 5} if clear is None else {})


async def test_the_time_of_the_decision_keeps_the_session_alive_and_ends_before_it(room: Room) -> None:
    with pytest.raises(SessionError, match="limit-reached"):
        await room.update("ann", timer=10**9)
    expires = await room.lives()
    await room.update("ann", timer=3_600_000)
    seen = await room.seen()
    assert seen.decide_at is not None
    assert seen.decide_at < await room.lives()
    assert await room.lives() > expires
    await room.update("ann", timer=0)
    assert (await room.seen()).decide_at is None


async def test_once_the_time_has_come_any_step_comes_after_the_decision(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    await room.update("ann", timer=20)
    await asyncio.sleep(0.03)
    with pytest.raises(SessionError, match="session-decided"):
        await room.vote("ann", "m2", 1)
    made = await decided(room)
    assert (made.movie, made.by, made.ranking["m2"]) == ("m2", "ranking", Tally(1, 0, 100))
    assert (await room.seen()).decide_at is None


async def test_a_sweep_makes_the_decision_that_is_due(room: Room) -> None:
    await room.vote("bob", "m2", 5)
    await room.update("ann", timer=5000)
    due = (await room.seen()).decide_at
    assert (await room.sessions.sweep(room.code, grace=GRACE)).next_due == due
    await room.update("ann", timer=1)
    await asyncio.sleep(0.01)
    assert (await room.sessions.sweep(room.code, grace=GRACE)).next_due == 0
    assert (await decided(room)).movie == "m2"


async def test_with_nothing_to_decide_the_time_clears_itself(room: Room) -> None:
    version = await room.update("ann", timer=1)
    await asyncio.sleep(0.01)
    await room.sessions.decide_due(room.code)
    seen = await room.seen()
    assert (seen.decision, seen.decide_at, seen.head.version) == (None, None, version + 1)


async def rate_all(room: Room, *people: str) -> None:
    for person in people:
        for movie in ("m1", "m2"):
            await room.vote(person, movie, 4)


async def counts_down(room: Room) -> bool:
    return (await room.seen()).decide_at is not None


async def test_once_all_have_rated_all_it_is_decided_after_a_delay(room: Room) -> None:
    await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    await rate_all(room, "ann")
    await room.vote("bob", "m1", 4)
    assert not await counts_down(room)
    await room.vote("bob", "m2", 1)
    due = (await room.seen()).decide_at
    assert due is not None
    assert 0 < due - await room.now() <= DELAY
    # Another rating of the same movie changes nothing of that.
    await room.vote("bob", "m2", 5)
    assert (await room.seen()).decide_at == due


@pytest.mark.parametrize("undone", ["withdrawn", "movie", "newcomer", "host", "movie removed"])
async def test_whatever_makes_it_untrue_takes_it_back(room: Room, undone: str) -> None:
    await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    await rate_all(room, "ann", "bob")
    assert await counts_down(room)
    if undone == "withdrawn":
        await room.vote("bob", "m1", 0)
    elif undone == "movie":
        await room.add("ann", "m3")
    elif undone == "newcomer":
        await room.join("cid")
    elif undone == "host":
        await room.update("ann", decide_when="host")
    else:
        # One movie is no choice.
        await room.take_off("ann", "m1")
    assert not await counts_down(room)


@pytest.mark.parametrize("cause", ["leave", "kick", "grace", "movie", "setting"])
async def test_whatever_makes_it_true_brings_it(room: Room, cause: str) -> None:
    if cause != "setting":
        await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    await rate_all(room, "ann", "bob")
    if cause == "movie":
        await room.add("ann", "m3")
        await room.vote("ann", "m3", 3)
        assert not await counts_down(room)
        await room.take_off("ann", "m3")
    elif cause != "setting":
        await room.join("cid")
        assert not await counts_down(room)
    if cause == "leave":
        await room.leave("cid")
    elif cause == "kick":
        await room.remove("ann", "cid")
    elif cause == "grace":
        await room.detach("a.cid", grace=0)
        assert not await counts_down(room), "within the grace time they are still asked"
        await room.sessions.sweep(room.code, grace=GRACE)
    elif cause == "setting":
        assert not await counts_down(room)
        await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    assert await counts_down(room)


async def test_whoever_is_alone_or_has_only_vetoes_decides_nothing(room: Room) -> None:
    await room.leave("bob")
    await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    await rate_all(room, "ann")
    assert not await counts_down(room)
    await room.join("bob")
    await rate_all(room, "bob")
    for person in ("ann", "bob"):
        for movie in ("m1", "m2"):
            await room.vote(person, movie, 1)
    await room.update("ann", decide_when="host")
    await room.update("ann", decide_when="all-rated", decide_delay=DELAY)
    assert not await counts_down(room)
    await room.vote("ann", "m1", 2)
    assert await counts_down(room)


async def test_how_many_movies_somebody_has_rated_is_right_after_any_steps(room: Room) -> None:
    """With hidden ratings the number is shown; with others only that it is all."""
    await room.update("ann", reveal="decided")

    async def rated() -> dict[str, int]:
        return {entry.id: entry.rated for entry in (await room.seen()).participants.values()}

    await room.vote("ann", "m1", 5)
    await rate_all(room, "bob")
    assert await rated() == {"ann": 1, "bob": 2}
    await room.take_off("ann", "m1")
    assert await rated() == {"ann": 0, "bob": 1}
    await room.detach("a.bob", grace=0)
    await room.sessions.sweep(room.code, grace=GRACE)
    await room.come_back("bob")
    assert await rated() == {"ann": 0, "bob": 1}
    await room.vote("bob", "m2", 0)
    assert await rated() == {"ann": 0, "bob": 0}
    await room.vote("bob", "m2", 2)
    await room.leave("bob")
    await room.join("cid")
    assert await rated() == {"ann": 0, "cid": 0}
    assert not [name for name in await room.fields() if name.startswith("v:")]


async def test_ratings_as_they_are_made_do_not_tell_whose_they_are(room: Room) -> None:
    await room.vote("bob", "m1", 5)
    assert {entry.rated for entry in (await room.seen()).participants.values()} == {0}
    await room.vote("bob", "m2", 5)
    assert [entry.rated for entry in (await room.seen()).participants.values()] == [0, 2]


async def test_hidden_ratings_are_shown_by_the_decision_and_not_before(room: Room) -> None:
    await room.update("ann", reveal="decided")
    await room.update("ann", reveal="live")
    await room.update("ann", reveal="decided")
    await room.vote("bob", "m1", 5)
    with pytest.raises(SessionError, match="limit-reached"):
        await room.update("ann", reveal="live")
    hidden = await room.seen()
    assert [movie.tally for movie in hidden.movies.values()] == [None, None]
    assert {movie["rank"] for movie in orjson.loads(hidden.data)["movies"]} == {None}
    await room.decide("ann")
    assert await room.tally("m1") == (1, 0, 100)
    await room.reopen("ann")
    assert [movie.tally for movie in (await room.seen()).movies.values()] == [None, None]


def functions(body: str) -> Script:
    """A script with the functions that `decide` is made of."""
    text = SESSION_SCRIPTS.decide.text
    return Script("functions", f"{text[: text.rindex('return change(')]}\n{body}")


COMPATIBILITIES: Final = functions("""
local found = {}
for index, tally in ipairs(call.tallies) do
  found[index] = compatibility(unpack(tally))
end
return found""")
DRAWS: Final = functions("""
local drawn = {}
for index, lot in ipairs(call.lots) do
  call.lot = lot
  drawn[index] = draw(call.number)
end
return drawn""")


async def run(room: Room, script: Script, **call: object) -> list[int]:
    reply = await room.redis.run(script, KEYS.session_keys(room.code), [orjson.dumps(call)])
    return [integer(each) for each in array(reply)]


def tallies() -> Iterator[Tally]:
    """All small ones, many of which are in the middle between two numbers, and some large ones."""
    for count, vetoes in itertools.product(range(13), repeat=2):
        for points in range(25 * count, 100 * count + 1, 25):
            yield Tally(count, vetoes, points)
    dice = random.Random(1)
    for _ in range(5000):
        count = dice.randint(1, 3000)
        yield Tally(
            count, dice.choice((0, dice.randint(0, 30), dice.randint(0, 3000))), 25 * dice.randint(count, 4 * count)
        )


async def test_the_script_ranks_as_the_service_does(room: Room) -> None:
    tried = list(tallies())
    found = await run(room, COMPATIBILITIES, tallies=[(each.count, each.vetoes, each.points) for each in tried])
    assert found == [each.compatibility for each in tried]


@pytest.mark.parametrize("number", [2, 3, 500])
async def test_a_lot_is_fair(room: Room, number: int) -> None:
    dice = random.Random(number)
    drawn: Counter[int] = Counter()
    for _ in range(10):
        lots = [(dice.getrandbits(32), dice.getrandbits(32)) for _ in range(5000)]
        drawn.update(await run(room, DRAWS, lots=lots, number=number))
    assert set(drawn) <= set(range(1, number + 1))
    expected = drawn.total() / number
    distance = sum((drawn[each] - expected) ** 2 / expected for each in range(1, number + 1))
    assert distance < rare_chi_square(number - 1)


async def test_the_ends_of_the_random_bits_draw_the_first_and_the_last(room: Room) -> None:
    most = 2**32 - 1
    assert await run(room, DRAWS, lots=[(0, 0), (most, most)], number=500) == [1, 500]


def rare_chi_square(freedom: int) -> float:
    """What chance exceeds once in a million times: Wilson and Hilferty, PNAS 17 (1931), p. 684."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 4.7534 * math.sqrt(part)) ** 3
