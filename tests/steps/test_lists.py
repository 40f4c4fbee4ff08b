"""The atomic steps beside the sessions: places of creators, budgets of look-ups, leases, what is due, the list."""

from __future__ import annotations

import pytest

from app.redis_client.client import RedisClient
from app.redis_client.reply import integer, mapping, texts
from app.sessions.ports import Place
from app.store.budgets import RedisBudgets
from app.store.creators import RedisCreators
from app.store.keys import Keys
from app.store.listing import RedisListing
from app.store.replicas import RedisReplicas
from app.store.scripts import LIST_SCRIPTS
from tests.steps.room import GRACE, Room

HOUR = 3_600_000


@pytest.fixture
def client(empty: Room) -> RedisClient:
    return empty.redis


@pytest.fixture
def keys(empty: Room) -> Keys:
    """Those of a deployment that has nothing yet."""
    return Keys(empty.code)


# Places of those who create sessions


@pytest.fixture
def creators(client: RedisClient, keys: Keys) -> RedisCreators:
    return RedisCreators(client, keys, lambda: b"secret", longest=3600, plan_memory=60)


async def claim(creators: RedisCreators, seed: str, size: int = 10, *, most: int = 2, most_bytes: int = 100) -> bool:
    return await creators.claim("address", seed, size, most=most, most_bytes=most_bytes)


async def places(client: RedisClient, keys: Keys) -> dict[str, str]:
    [key] = texts(await client.execute("KEYS", keys.made("*")))
    assert 0 < integer(await client.execute("PTTL", key)) <= HOUR
    found = mapping(await client.execute("HGETALL", key))
    return {seed.decode(): entry.decode() for seed, entry in found.items()}


async def test_an_address_has_so_many_places_and_a_repeat_takes_no_other(creators: RedisCreators) -> None:
    assert [await claim(creators, seed) for seed in ("a", "b", "a", "c", "b")] == [True, True, True, False, True]
    assert await creators.claim("another", "c", 10, most=2, most_bytes=100)


async def test_an_address_has_so_many_bytes(creators: RedisCreators) -> None:
    assert await claim(creators, "a", 40)
    assert not await claim(creators, "b", 61)
    assert await claim(creators, "b", 60)
    assert await claim(creators, "b", 60)
    assert not await claim(creators, "c", 1, most=9)
    assert await claim(creators, "c", 0, most=9)


async def test_the_place_of_a_session_that_was_not_made_is_free_again(
    creators: RedisCreators, client: RedisClient, keys: Keys, empty: Room
) -> None:
    assert await claim(creators, "a", most=1)
    (entry,) = (await places(client, keys)).values()
    size, code, ends = entry.split()
    assert (size, code) == ("10", "-")
    assert await empty.now() < int(ends) <= await empty.now() + 10_000
    assert not await claim(creators, "b", most=1)
    [key] = texts(await client.execute("KEYS", keys.made("*")))
    await client.execute("HSET", key, "a", f"10 - {await empty.now()}")
    assert await claim(creators, "b", most=1)
    assert set(await places(client, keys)) == {"b"}


async def test_a_session_has_its_place_as_long_as_it_lives(
    creators: RedisCreators, client: RedisClient, keys: Keys, empty: Room
) -> None:
    assert await claim(creators, "a", most=1)
    await client.execute("HSET", keys.session("made"), "instance", "a-and-a-mark")
    await creators.made("address", "a", 10, "made")
    assert await places(client, keys) == {"a": "10 made 0"}
    assert not await claim(creators, "b", most=1)
    await client.execute("HSET", keys.session("made"), "instance", "of-another-session-under-the-code")
    assert await claim(creators, "b", most=1)
    assert set(await places(client, keys)) == {"b"}


# Budgets of look-ups


@pytest.fixture
def budgets(client: RedisClient, keys: Keys) -> RedisBudgets:
    return RedisBudgets(client, keys, lambda: b"secret")


async def test_look_ups_are_counted_as_far_as_they_fit(budgets: RedisBudgets) -> None:
    first = await budgets.reserve("address", ["a", "b"], 3)
    assert (first.counted, first.misses, first.under_way, first.seconds_left) == (2, 0, 0, 0)
    second = await budgets.reserve("address", ["c", "d"], 3)
    assert (second.counted, second.under_way) == (1, 2)
    assert (await budgets.reserve("address", ["e"], 3)).counted == 0
    assert (await budgets.reserve("address", ["e"], 2)).counted == 0, "no less than none"
    other = await budgets.reserve("another", ["f"], 3)
    # Of everybody all are counted.
    assert (other.counted, other.under_way, other.total_under_way) == (1, 0, 6 - 1)


async def test_look_ups_that_are_given_back_make_room(budgets: RedisBudgets) -> None:
    await budgets.reserve("address", ["a", "b", "c"], 3)
    await budgets.settle("address", ["a", "b", "unknown"])
    after = await budgets.reserve("address", ["d", "e", "f"], 3)
    assert (after.counted, after.misses, after.under_way, after.total_misses) == (2, 0, 1, 0)


async def test_a_miss_takes_the_place_of_its_look_up_for_a_minute(
    budgets: RedisBudgets, client: RedisClient, keys: Keys
) -> None:
    await budgets.reserve("address", ["a", "b"], 3)
    await budgets.settle("address", ["a"], missed=True)
    await budgets.settle("address", [], missed=True)
    after = await budgets.reserve("address", ["c"], 3)
    assert (after.counted, after.misses, after.under_way) == (0, 2, 1)
    assert (after.total_misses, await budgets.total_misses()) == (2, 2)
    assert 50 < after.seconds_left <= 60
    # The minute begins with the first.
    for key in texts(await client.execute("KEYS", keys.misses("*"))):
        await client.execute("PEXPIRE", key, 30_000)
    await budgets.settle("address", [], missed=True)
    assert 20 < (await budgets.reserve("address", [], 3)).seconds_left <= 30


async def test_a_look_up_that_nobody_gives_back_lapses(
    budgets: RedisBudgets, client: RedisClient, keys: Keys, empty: Room
) -> None:
    await budgets.reserve("address", ["a", "b"], 2)
    for misses in texts(await client.execute("KEYS", keys.look_ups("*")[1])):
        assert 0 < integer(await client.execute("PTTL", misses)) <= 10_000
        ends = integer(await client.execute("ZSCORE", misses, "a"))
        assert await empty.now() < ends <= await empty.now() + 10_000
        await client.execute("ZADD", misses, await empty.now(), "a")
    after = await budgets.reserve("address", ["c"], 2)
    assert (after.counted, after.under_way, after.total_under_way) == (1, 1, 1)


async def test_without_look_ups_nothing_is_kept(budgets: RedisBudgets, client: RedisClient, keys: Keys) -> None:
    await budgets.reserve("address", ["a"], 0)
    await budgets.settle("address", ["a"])
    assert await client.execute("KEYS", keys.misses("*")) == []
    await budgets.settle("address", [])
    assert await client.execute("KEYS", keys.misses("*")) == []


# Recovery ids


@pytest.mark.parametrize(
    ("entry", "expires"), [("code instance p 1", True), ("other instance p 1", False), (None, None)]
)
async def test_what_points_to_a_session_is_forgotten_unless_it_points_to_another_by_now(
    client: RedisClient, keys: Keys, entry: str | None, expires: bool | None
) -> None:
    if entry is not None:
        await client.execute("SET", keys.recovery("r"), entry, "PX", HOUR)
    await client.run(LIST_SCRIPTS.forget_recovery, [keys.recovery("r")], ["code", 60_000])
    left = integer(await client.execute("PTTL", keys.recovery("r")))
    assert left == -2 if expires is None else (left <= 60_000) == expires


# Replicas, and what is due


@pytest.fixture
def replica(client: RedisClient, keys: Keys) -> RedisReplicas:
    return RedisReplicas(client, keys, "one", lease=10)


async def test_a_lease_runs_for_a_time_from_each_renewal(
    replica: RedisReplicas, client: RedisClient, keys: Keys, empty: Room
) -> None:
    first = await replica.renew({"at": "here"})
    assert (first.lapsed, first.dead) == (True, [])
    ends = integer(await client.execute("ZSCORE", keys.replicas, "one"))
    assert await empty.now() + 5000 < ends <= await empty.now() + 10_000
    assert replica.renewed_at() == ends - 10_000
    assert 5000 < integer(await client.execute("PTTL", keys.replica("one"))) <= 10_000
    assert await replica.living() == {"one": {"at": "here"}}
    assert not (await replica.renew({})).lapsed


async def test_the_replicas_whose_lease_has_run_out_are_dead_and_no_others(
    replica: RedisReplicas, client: RedisClient, keys: Keys, empty: Room
) -> None:
    now = await empty.now()
    await client.execute("ZADD", keys.replicas, now - 1000, "one", now - 1, "gone", now + HOUR, "there")
    renewed = await replica.renew({})
    assert (renewed.lapsed, renewed.dead) == (True, ["gone"])
    for number in range(20):
        await client.execute("ZADD", keys.replicas, 1, f"more{number}")
    assert len((await replica.renew({})).dead) == 16


async def test_a_session_is_swept_when_it_is_due_and_by_one_replica(
    replica: RedisReplicas, client: RedisClient, keys: Keys, empty: Room
) -> None:
    now = await empty.now()
    await replica.due.schedule("past", now - 1)
    await replica.due.schedule("later", now + HOUR)
    due = await replica.due.claim(60)
    assert due.codes == ["past"]
    assert await empty.now() < due.claim <= await empty.now() + 60_000
    assert integer(await client.execute("ZSCORE", keys.due, "past")) == due.claim
    assert (await replica.due.claim(60)).codes == []


async def test_a_session_is_due_at_the_earliest_of_its_times(
    replica: RedisReplicas, client: RedisClient, keys: Keys, empty: Room
) -> None:
    now = await empty.now()
    scores = []
    for due in (now + 2 * HOUR, now + HOUR, now + 3 * HOUR, now + HOUR):
        await replica.due.schedule("code", due)
        scores.append(integer(await client.execute("ZSCORE", keys.due, "code")) - now)
    # It changes each time, so that whoever has claimed the session notices.
    assert scores == [2 * HOUR, HOUR, HOUR - 1, HOUR - 2]


async def test_a_claim_is_settled_unless_somebody_has_scheduled_the_session_since(
    replica: RedisReplicas, client: RedisClient, keys: Keys, empty: Room
) -> None:
    await replica.due.schedule("code", await empty.now() - 1)
    claimed = (await replica.due.claim(60)).claim
    await replica.due.settle("code", claimed, claimed + GRACE)
    assert integer(await client.execute("ZSCORE", keys.due, "code")) == claimed + GRACE
    await replica.due.settle("code", claimed, 0)
    assert integer(await client.execute("ZSCORE", keys.due, "code")) == claimed + GRACE
    await replica.due.settle("code", claimed + GRACE, 0)
    assert await client.execute("ZSCORE", keys.due, "code") is None
    await replica.due.settle("code", claimed, claimed)
    assert await client.execute("ZSCORE", keys.due, "code") is None


# The list of sessions


@pytest.fixture
async def listing(client: RedisClient, keys: Keys, empty: Room) -> tuple[RedisListing, int]:
    """Five sessions, of which two expire in the same millisecond, and when the first does."""
    expiry = await empty.now() + HOUR
    for code, later in (("a", 0), ("b", 1), ("c", 1), ("d", 2), ("gone", -2 * HOUR)):
        key = keys.session(code)
        await client.execute("HSET", key, "people", 0, "films", 0, "version", 1, "created", 1, "locked", 0)
        await client.execute("PEXPIREAT", key, expiry)
        await client.execute("ZADD", keys.sessions, expiry + later, code)
    return RedisListing(client, keys), expiry


async def page(listing: RedisListing, behind: Place | None, limit: int) -> tuple[list[str], Place | None]:
    found = await listing.page(behind, limit)
    return [session["sessionID"] for session in found.sessions], found.behind


async def test_the_list_is_read_page_by_page(listing: tuple[RedisListing, int]) -> None:
    pages, first = listing
    assert await page(pages, None, 9) == (["a", "b", "c", "d"], None)
    assert await page(pages, None, 2) == (["a", "b"], Place(first + 1, "b"))
    assert await page(pages, Place(first + 1, "b"), 2) == (["c", "d"], Place(first + 2, "d"))
    assert await page(pages, Place(first + 2, "d"), 2) == ([], None)
    assert await page(pages, Place(first + 1, "b"), 1) == (["c"], Place(first + 1, "c"))


async def test_behind_a_session_that_has_moved_nobody_is_passed_over(
    listing: tuple[RedisListing, int], client: RedisClient, keys: Keys
) -> None:
    pages, first = listing
    await client.execute("ZADD", keys.sessions, first + HOUR, "b")
    assert (await page(pages, Place(first + 1, "b"), 9))[0] == ["c", "d", "b"]
    await client.execute("ZREM", keys.sessions, "c")
    assert (await page(pages, Place(first + 1, "c"), 2))[0] == ["d", "b"]
