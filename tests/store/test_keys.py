"""The names of keys: one prefix for everything that a deployment has in Redis."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import pytest
from pydantic import ValidationError

from app.settings import Settings
from app.store import keys as documented
from app.store.keys import Keys
from tests.harness.here import Here, served_here
from tests.harness.people import Api, movie
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN
from tests.harness.sockets import open_sockets
from tests.harness.waiting import until

OPERATOR: Final = "the-operators-own-token"


def test_the_default_names_are_those_of_earlier_releases() -> None:
    prefix = Settings(_env_file=None).key_prefix
    keys = Keys(prefix)
    names = [
        *keys.session_keys("C"),
        keys.recovery("P"),
        keys.created("H"),
        keys.sessions,
        keys.marker,
        keys.due,
        keys.outboxes,
        keys.events,
        keys.replicas,
        keys.replica("R"),
        keys.replica_codes("R"),
        keys.misses("A"),
        keys.look_ups("A")[1].replace("{js:misses:A}", "{M}"),
        keys.made("A"),
        keys.creates("A"),
        keys.wrong_keys("A"),
        keys.guesses("G")[0],
        keys.passcodes("G"),
        keys.secret,
    ]
    assert sorted(names) == sorted(re.findall(r"^``(js:\S+)``", documented.__doc__ or "", re.MULTILINE))
    assert (keys.channel("C"), keys.code_of("js:{C}")) == ("js:{C}", "C")
    assert (keys.connections("C"), keys.reservation("C")) == ("js:{C}:connections", "js:{C}:code")


@pytest.mark.parametrize("prefix", ["", "JS", "a:b", "a{b}", "a_b", "a" * 61])
def test_a_prefix_is_of_small_letters_digits_and_hyphens(prefix: str) -> None:
    with pytest.raises(ValidationError, match="key_prefix"):
        Settings(_env_file=None, key_prefix=prefix)


@pytest.fixture
async def deployments() -> AsyncIterator[tuple[RedisServer, list[Here]]]:
    """Two on one Redis, whose users may touch no key and no channel but those with their prefix, in scripts neither."""
    async with RedisServer() as redis, AsyncExitStack() as stack:
        found = []
        for prefix in ("one", "a-longer-one"):
            await redis.call(
                "ACL", "SETUSER", prefix, "on", ">pw", "+@all", "resetchannels", f"~{prefix}:*", f"&{prefix}:*"
            )
            times: dict[str, Any] = {"grace": 0.5, "lease": 3, "code_rest": 1, "unlimited_addresses": "10.0.0.0/8"}
            found += await stack.enter_async_context(
                served_here(redis.url(f"{prefix}:pw"), key_prefix=prefix, operator_token=OPERATOR, **times)
            )
        yield redis, found


async def test_deployments_with_different_prefixes_share_a_redis(deployments: tuple[RedisServer, list[Here]]) -> None:
    redis, found = deployments
    api = Api(found)
    lasting = [await use_everything(api, found, number) for number in range(2)]
    for number, other in ((0, 1), (1, 0)):
        assert (await api.join(lasting[other], replica=number)).status_code == 404
        assert lasting[number] in (codes := await listed(found[number]))
        assert lasting[other] not in codes
        assert len((await operator(found[number], "/replicas"))["replicas"]) == 1
    names = [name.decode() for name in await redis.call("KEYS", "*")]
    assert {name.partition(":")[0] for name in names} == {"one", "a-longer-one"}
    assert await redis.call("ACL", "LOG") == []
    await api.close()


async def use_everything(api: Api, found: list[Here], number: int) -> str:
    """Everything there is, once; the code of a session that lives on."""
    assert (await api.join(UNKNOWN, replica=number)).status_code == 404
    await api.call("POST", "/api/session/create", replica=number, json={"ttlSeconds": 60}, key="once-and-only-once")
    made = await api.create(replica=number, movies=[movie("m1")])
    async with open_sockets([found[number].url], 3) as (host, guest, other):
        for socket in (host, guest, other):
            assert (await socket.emit("join-session", made.code))["ok"]
        ack = await host.emit("vote", {"movieID": "m1", "rating": 5, "mid": "k"})
        await guest.at_version(ack["version"])
        await host.emit("add-movie", movie("m2"))
        await guest.drop()
        await other.emit("leave-session")
        ended = await api.create(replica=number)
        await other.emit("join-session", ended.code)
        await api.call("DELETE", ended.path, replica=number, token=ended.host_token)
        assert (await other.next("session-ended"))["reason"] == "ended"

        async def swept() -> bool:
            return len((await api.read(made.code, replica=number))["sessionData"]["participants"]) == 1

        await until(swept, "the guest's grace time is over")
    return made.code


async def listed(here: Here) -> list[str]:
    return [session["sessionID"] for session in (await operator(here, "/sessions"))["sessions"]]


async def operator(here: Here, path: str) -> Any:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with httpx.AsyncClient(base_url=f"{here.internal_url}/operator", headers=headers, trust_env=False) as desk:
        return (await desk.get(path)).json()
