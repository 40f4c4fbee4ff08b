"""Who looks codes up, creates sessions and guesses keys within a budget, and what happens beyond it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import pytest

from app.redis_client.client import RedisClient
from app.sessions.admission import Admission, Client, SocketMisses
from app.sessions.errors import SessionError
from app.sessions.guard import KeyGuard
from app.sessions.look_ups import LookUps
from app.sessions.rules import Rules
from app.store.budgets import RedisBudgets
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

ADDRESS: Final = "192.0.2.1"
RULES: Final = Rules(
    decide_delay=10,
    lifetime=600,
    min_lifetime=60,
    max_lifetime=3600,
    unjoined_lifetime=0,
    code_rest=600,
    capacity=3,
    max_capacity=10,
    max_movies=10,
    max_movies_bytes=1000,
    grace=60,
    leaver_ratings="keep",
    second_connection="allow",
    miss_budget=2,
    miss_budget_total=100,
    create_budget=2,
    max_sessions=1000,
    max_sessions_per_address=1000,
)


class Looking:
    """Look-ups of one deployment, and what was looked at."""

    def __init__(self, server: RedisServer, client: RedisClient) -> None:
        self.server = server
        self.client = client
        self.budgets = RedisBudgets(client, KEYS, lambda: b"secret")
        self.looked: list[str] = []

    def look_ups(self, miss_budget: int = 2, miss_budget_total: int = 100) -> LookUps:
        return LookUps(self.budgets, replace(RULES, miss_budget=miss_budget, miss_budget_total=miss_budget_total))

    def admission(self, clock: float = 0) -> Admission:
        return Admission(self.budgets, RULES, lambda: clock)

    async def find(self, look_ups: LookUps, code: str, address: str = ADDRESS) -> str:
        """What a look-up comes to; codes that are there begin with a capital letter."""

        async def look() -> bool:
            self.looked.append(code)
            return code[0].isupper()

        try:
            async with look_ups.counted(address, code) as look_up:
                if not await look_up.answer(look):
                    raise SessionError("session-not-found")
        except SessionError as error:
            return error.code
        return "found"

    async def counted(self, address: str = ADDRESS) -> tuple[int, int]:
        """The misses of an address, and its look-ups under way."""
        reserved = await self.budgets.reserve(address, [], 0)
        return reserved.misses, reserved.under_way

    async def given_back(self, address: str = ADDRESS) -> None:
        async def is_so() -> bool:
            return (await self.counted(address))[1] == 0

        await until(is_so, "all look-ups are given back")


@pytest.fixture
async def looking() -> AsyncIterator[Looking]:
    async with RedisServer(unix=True) as server:
        client = RedisClient.connect(server.url(), timeout=30)
        yield Looking(server, client)
        await client.close()


async def test_what_is_found_costs_nothing(looking: Looking) -> None:
    look_ups = looking.look_ups()
    for _ in range(5):
        assert await looking.find(look_ups, "Live") == "found"
    await looking.given_back()
    assert await looking.counted() == (0, 0)


async def test_what_is_not_found_counts_for_a_minute_and_then_nothing_is_looked_at(looking: Looking) -> None:
    look_ups = looking.look_ups()
    assert [await looking.find(look_ups, "none") for _ in range(2)] == ["session-not-found"] * 2
    assert await looking.counted() == (2, 0)
    with pytest.raises(SessionError, match="too-many-requests") as refused:
        async with look_ups.counted(ADDRESS, "none") as look_up:
            await look_up.counted()
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 60
    looking.looked.clear()
    assert await looking.find(look_ups, "Live") == "too-many-requests"
    assert looking.looked == [], "an address that was refused is not answered before it is counted"
    assert await looking.find(look_ups, "Live", "192.0.2.2") == "found", "another address is not concerned"
    await looking.given_back()
    assert await looking.counted() == (2, 0)


async def test_those_who_look_for_one_code_at_one_time_are_counted_once(looking: Looking) -> None:
    look_ups = looking.look_ups(miss_budget=1)
    assert await asyncio.gather(*(looking.find(look_ups, "Live") for _ in range(5))) == ["found"] * 5
    await looking.given_back()
    assert looking.looked == ["Live"] * 5


async def test_each_of_those_who_do_not_find_a_code_at_one_time_has_missed(looking: Looking) -> None:
    look_ups = looking.look_ups()
    outcomes = await asyncio.gather(*(looking.find(look_ups, "none") for _ in range(4)))
    assert sorted(outcomes) == ["session-not-found"] * 2 + ["too-many-requests"] * 2
    await looking.given_back()
    assert await looking.counted() == (2, 0)


async def test_more_live_codes_than_the_budget_are_all_found_one_after_another(looking: Looking) -> None:
    look_ups = looking.look_ups(miss_budget=1)
    codes = [f"Live{number}" for number in range(5)]
    assert await asyncio.gather(*(looking.find(look_ups, code) for code in codes)) == ["found"] * 5
    await looking.given_back()
    assert await looking.find(look_ups, "Later") == "found"


async def test_a_hit_passes_its_count_on_to_a_look_up_that_waits(looking: Looking) -> None:
    look_ups = looking.look_ups()
    codes = [f"Live{number}" for number in range(200)]
    assert await asyncio.gather(*(looking.find(look_ups, code) for code in codes)) == ["found"] * 200
    await looking.given_back()
    stats = (await looking.server.call("INFO", "commandstats")).decode()
    (scripts,) = (line for line in stats.split() if line.startswith("cmdstat_evalsha:"))
    assert int(scripts.partition("calls=")[2].partition(",")[0]) < 100


async def test_where_two_replicas_wait_for_one_budget_both_get_a_part_of_it(looking: Looking) -> None:
    busy, other = looking.look_ups(), looking.look_ups()
    ended = asyncio.Event()

    async def keep_looking(number: int) -> None:
        while not ended.is_set():
            assert await looking.find(busy, f"Live{number}") == "found"

    lookers = [asyncio.create_task(keep_looking(number)) for number in range(10)]
    for _ in range(3):
        assert await looking.find(other, "Live") == "found"
    ended.set()
    await asyncio.gather(*lookers)


async def test_who_waits_is_refused_once_misses_alone_have_spent_the_budget(looking: Looking) -> None:
    look_ups = looking.look_ups(miss_budget=1)
    outcomes = await asyncio.gather(*(looking.find(look_ups, code) for code in ("none", "Live1", "Live2")))
    assert outcomes == ["session-not-found", "too-many-requests", "too-many-requests"]
    await looking.given_back()
    assert await looking.counted() == (1, 0)


async def test_once_everybody_has_missed_too_often_an_address_has_a_tenth_of_its_budget(looking: Looking) -> None:
    look_ups = looking.look_ups(miss_budget=20, miss_budget_total=3)
    for number in range(3):
        assert await looking.find(look_ups, "none", f"192.0.2.{100 + number}") == "session-not-found"
    outcomes = [await looking.find(look_ups, "none") for _ in range(3)]
    assert outcomes == ["session-not-found"] * 2 + ["too-many-requests"]
    few = looking.look_ups(miss_budget=5, miss_budget_total=3)
    assert [await looking.find(few, "none", "192.0.2.3") for _ in range(2)] == [
        "session-not-found",
        "too-many-requests",
    ]


async def test_a_look_up_ends_in_time_whatever_redis_does(looking: Looking) -> None:
    look_ups = looking.look_ups()
    looking.server.pause()
    began = asyncio.get_running_loop().time()
    try:
        with pytest.raises(SessionError, match="unavailable"):
            async with look_ups.counted(ADDRESS, "none") as look_up:
                await look_up.counted()
        # By itself Redis's client would wait for thirty seconds.
        assert asyncio.get_running_loop().time() - began < 20
    finally:
        looking.server.resume()


async def test_where_nothing_can_be_counted_nothing_is_told(looking: Looking) -> None:
    async with RedisServer(unix=True) as server:
        client = RedisClient.connect(server.url(), timeout=0.2)
        server.kill()
        look_ups = LookUps(RedisBudgets(client, KEYS, lambda: b"secret"), RULES)
        assert await looking.find(look_ups, "none") == "unavailable"
        await client.close()


# Sockets, creations, keys


async def miss(admission: Admission, client: Client, code: str = "session-not-found") -> None:
    async with admission.look_up(client, "none") as look_up:
        await look_up.counted()
        raise SessionError(code)


async def test_a_socket_that_has_missed_too_often_is_refused_for_the_rest_of_its_minute(looking: Looking) -> None:
    socket = SocketMisses()
    for number in range(2):
        with pytest.raises(SessionError, match="session-not-found"):
            await miss(looking.admission(), Client(f"192.0.2.{number}", socket_misses=socket))
    with pytest.raises(SessionError, match="too-many-requests") as refused:
        await miss(looking.admission(clock=20), Client(ADDRESS, socket_misses=socket))
    assert refused.value.retry_after == 40
    async with looking.admission(clock=60).look_up(Client(ADDRESS, socket_misses=socket), "Live"):
        pass
    async with looking.admission(clock=20).look_up(Client(ADDRESS, socket_misses=SocketMisses()), "Live"):
        pass


@pytest.mark.parametrize(("code", "count"), [("session-not-found", 1), ("unauthorized", 1), ("session-full", 0)])
async def test_only_what_tells_of_codes_and_tokens_is_a_miss(looking: Looking, code: str, count: int) -> None:
    socket = SocketMisses()
    client = Client(ADDRESS, socket_misses=socket)
    admission = looking.admission()
    with pytest.raises(SessionError, match=code):
        await miss(admission, client, code)
    assert (socket.count, (await looking.counted())[0]) == (count, count)
    if count:
        with pytest.raises(SessionError, match=code):
            await admission.note(SessionError(code), client, "none")
    else:
        await admission.note(SessionError(code), client, "none")
    assert (socket.count, (await looking.counted())[0]) == (2 * count, 2 * count)


async def test_whoever_has_no_budget_is_not_counted(looking: Looking) -> None:
    client = Client(ADDRESS, unlimited=True)
    admission, guard = looking.admission(), KeyGuard("the key", looking.budgets)
    for _ in range(12):
        with pytest.raises(SessionError, match="session-not-found"):
            await miss(admission, client)
        await admission.creation(client)
        with pytest.raises(SessionError, match="unauthorized"):
            await guard.check("wrong", client)
    assert await looking.client.execute("DBSIZE") == 0


async def test_an_address_creates_as_many_sessions_a_minute_as_it_may(looking: Looking) -> None:
    admission = looking.admission()
    for _ in range(2):
        await admission.creation(Client(ADDRESS))
    with pytest.raises(SessionError, match="too-many-requests") as refused:
        await admission.creation(Client(ADDRESS))
    assert refused.value.retry_after is not None
    await admission.creation(Client("192.0.2.2"))


async def test_an_address_guesses_a_key_ten_times_a_minute_and_the_right_one_always_passes(looking: Looking) -> None:
    guard = KeyGuard("the key", looking.budgets)
    for shown in (None, ""):
        with pytest.raises(SessionError, match="unauthorized"):
            await guard.check(shown, Client(ADDRESS))
    for number in range(11):
        with pytest.raises(SessionError, match="unauthorized" if number < 10 else "too-many-requests"):
            await guard.check("wrong", Client(ADDRESS))
    await guard.check("the key", Client(ADDRESS))
    with pytest.raises(SessionError, match="unauthorized"):
        await guard.check(None, Client(ADDRESS))
