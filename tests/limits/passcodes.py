"""Attempts on passcodes: guesses at them, and what hashing them takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from app.redis_client.client import RedisClient
from app.sessions.admission import Client
from app.sessions.errors import SessionError
from app.sessions.guesses import Guesses
from app.sessions.passcodes import Passcodes
from app.store.budgets import RedisBudgets
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.limits.attempts import exceeds, limited

__all__: list[str] = []

PASSCODE: Final = "open sesame"


@asynccontextmanager
async def budgets(redis: RedisServer) -> AsyncIterator[RedisBudgets]:
    await redis.call("FLUSHALL")
    client = RedisClient.connect(redis.url())
    try:
        yield RedisBudgets(client, KEYS, lambda: b"secret")
    finally:
        await client.close()


@exceeds("Wrong passcodes of an address")
async def guesses_of_an_address(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create(passcode=PASSCODE)
        socket = await Socket.open(replica.here.url)
        for code in ["passcode-wrong"] * 10 + ["too-many-requests"] * 2:
            assert (await socket.emit("join-session", made.code, {"passcode": "a wrong one"}))["code"] == code
        # Not even the right one tells anything then.
        assert (await socket.emit("join-session", made.code, {"passcode": PASSCODE}))["code"] == "too-many-requests"
        assert (await socket.emit("join-session", made.code, {"token": made.host_token}))["ok"]
        await socket.close()


@exceeds("Wrong passcodes of a session")
async def guesses_from_many_addresses(redis: RedisServer) -> None:
    async with budgets(redis) as counters:
        guesses = Guesses(counters)

        async def guess(number: int) -> str:
            try:
                async with guesses.counted(Client(f"203.0.113.{number}"), "session"):
                    raise SessionError("passcode-wrong")
            except SessionError as error:
                return error.code

        results = [await guess(number // 9) for number in range(120)]
        assert results == ["passcode-wrong"] * 100 + ["too-many-requests"] * 20
        async with guesses.counted(Client("203.0.113.200"), "another session"):
            pass


@exceeds("Passcodes given to a session")
async def a_host_who_changes_it_again_and_again(redis: RedisServer) -> None:
    async with limited(redis) as replica:
        made = await replica.api.create()
        statuses = [
            (await replica.api.call("PATCH", made.path, token=made.host_token, json={"passcode": PASSCODE})).status_code
            for _ in range(12)
        ]
        assert statuses == [200] * 10 + [429] * 2
        removed = await replica.api.call("PATCH", made.path, token=made.host_token, json={"passcode": None})
        assert removed.status_code == 200


@exceeds("Passcodes that are hashed, and wait for that")
async def many_who_want_a_passcode_hashed(redis: RedisServer) -> None:
    passcodes = Passcodes(cast("Any", None), cast("Any", None))

    async def hashed() -> str:
        try:
            return (await passcodes.hashed(PASSCODE)).split()[0]
        except SessionError as error:
            return error.code

    results = Counter(await asyncio.gather(*(hashed() for _ in range(100))))
    assert results == {"scrypt": 34, "unavailable": 66}
