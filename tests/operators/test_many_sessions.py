"""A hundred thousand sessions: a page costs what it costs with a thousand, and holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import httpx
import pytest

from app.redis_client.client import RedisClient
from app.sessions.steps import NewSession
from app.settings import ALPHABETS
from app.store.listing import RedisListing
from app.store.sessions import RedisSessions
from tests.harness.here import Here, served_here
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN: Final = "the-operators-own-token"
MANY: Final = 100_000
AT_ONCE: Final = 500
PAGE: Final = 50
# Microseconds; on a machine that has other things to do a command may wait for a while.
NOTICEABLE: Final = 100_000
HOUR: Final = 3_600_000


async def test_a_page_of_a_hundred_thousand_is_bounded_work() -> None:
    async with RedisServer() as redis:
        connection = RedisClient.connect(redis.url(), timeout=60)
        await create(connection, range(1000))
        of_a_thousand = await cost_of_a_page(redis, connection)
        await create(connection, range(1000, MANY))
        await redis.call("CONFIG", "SET", "slowlog-log-slower-than", str(NOTICEABLE))
        await redis.call("SLOWLOG", "RESET")
        assert await cost_of_a_page(redis, connection) == of_a_thousand
        assert of_a_thousand == {
            "evalsha": 1, "time": 1, "zrange": 1, "hmget": PAGE, "pexpiretime": PAGE, "config|resetstat": 1
        }  # fmt: skip
        await connection.close()
        async with served_here(redis.url(), operator_token=TOKEN, max_sessions=MANY) as [replica]:
            codes, usage = await everybody(replica)
        assert len(codes) == MANY
        assert set(codes) == {code_of(number) for number in range(MANY)}
        assert usage == {"used": MANY, "limit": MANY}
        assert await redis.call("SLOWLOG", "GET") == []
        assert not {"keys", "scan", "hgetall"} & (await calls(redis)).keys()


async def create(connection: RedisClient, numbers: Iterable[int]) -> None:
    """By the script that creates every session, without the budgets of addresses."""
    store = RedisSessions(connection, KEYS, quarantine=60, max_listed=200)
    session = NewSession(
        epoch="e",
        lifetime=HOUR,
        unjoined=None,
        max_lifetime=HOUR,
        quarantine=60_000,
        capacity=100,
        departed_ratings="keep",
        title="Friday",
        movies=(),
    )
    pending = iter(numbers)

    async def work() -> None:
        for number in pending:
            code = code_of(number)
            assert await store.create({code: f"i{number}"}, session) == code

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await store.close()


def code_of(number: int) -> str:
    digits = []
    for _ in range(10):
        number, digit = divmod(number, len(ALPHABETS["letters"]))
        digits.append(ALPHABETS["letters"][digit])
    return "".join(digits)


async def cost_of_a_page(redis: RedisServer, connection: RedisClient) -> dict[str, int]:
    """How often a page has each command called, those of scripts included."""
    listing = RedisListing(connection, KEYS)
    # So that the server knows the script.
    await listing.page(None, 1)
    await redis.call("CONFIG", "RESETSTAT")
    page = await listing.page(None, PAGE)
    assert len(page.sessions) == PAGE
    assert page.behind is not None
    return await calls(redis)


async def calls(redis: RedisServer) -> dict[str, int]:
    stats = (await redis.call("INFO", "commandstats")).decode()
    counted = (line.removeprefix("cmdstat_").split(":calls=") for line in stats.split() if ":calls=" in line)
    ours = {name: int(rest.partition(",")[0]) for name, rest in counted}
    return {name: count for name, count in ours.items() if name not in ("info", "hello", "auth")}


async def everybody(replica: Here) -> tuple[list[str], dict[str, int]]:
    """The codes on all pages, and what the limits say of them."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    codes: list[str] = []
    query: dict[str, Any] = {"limit": 500}
    async with httpx.AsyncClient(
        base_url=f"{replica.internal_url}/operator", headers=headers, trust_env=False, timeout=30
    ) as client:
        while query.get("cursor", "") is not None:
            page = (await client.get("/sessions", params=query)).json()
            codes += [session["sessionID"] for session in page["sessions"]]
            query["cursor"] = page["next"]
        return codes, (await client.get("/limits")).json()["usage"]["sessions"]
