"""A user that may do only what the documentation says the service needs, over TLS."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import httpx
import pytest

from tests.harness.people import Api, movie
from tests.harness.service import UNKNOWN, Replica, replicas
from tests.harness.sockets import Socket, open_sockets
from tests.harness.topologies import Secured, documented_user
from tests.harness.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OPERATOR: Final = "the-operators-own-token"
# What the harness asks as administrator, and what a link needs before it is anybody.
NOT_OURS: Final = {"hello", "acl", "info", "auth"}


async def test_the_documented_user_may_do_all_that_the_service_does_and_nothing_else() -> None:
    async with Secured() as redis:
        times = {"grace": 1, "lease": 3, "code_rest": 1}
        settings = {**times, "unlimited_addresses": "10.0.0.0/8", "operator_token": OPERATOR}
        async with replicas(redis.url, 2, **settings) as started:
            api = Api(started)
            async with open_sockets([replica.url for replica in started], 4) as sockets:
                code = await live(api, sockets)
                await operate(started[0])
                started[1].kill()
                await until(lambda: alone(api, code), "the dead replica's people are gone")
            await until(lambda: has_left(redis), "the session that has ended is left", timeout=15)
            await api.close()
            await asyncio.to_thread(started[0].stop)
        assert await redis.refusals() == []
        used = await commands(redis)
        assert used == allowed(), "the documentation names exactly what is used"


async def live(api: Api, sockets: list[Socket]) -> str:
    """Everything there is, once; the code of a session that lives on."""
    host, guest, other, _ = sockets
    assert (await api.join(UNKNOWN)).status_code == 404
    await api.call("POST", "/api/session/create", json={}, key="once-and-only-once")
    made = await api.create(movies=[movie("m1")])
    for socket in sockets:
        await socket.emit("join-session", made.code)
    await host.emit("vote", {"movieID": "m1", "rating": 5, "mid": "k"})
    await host.emit("add-movie", movie("m2"))
    await host.emit("remove-movie", {"movieID": "m2"})
    await host.emit("update-session", {"title": "Friday"})
    await guest.drop()
    await other.emit("leave-session")
    ended = await api.create(ttlSeconds=60)
    await other.emit("join-session", ended.code)
    assert (await api.call("DELETE", ended.path, token=ended.host_token)).status_code == 200
    assert (await other.next("session-ended"))["reason"] == "ended"
    return made.code


async def operate(replica: Replica) -> None:
    """What only operators do, once."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with httpx.AsyncClient(base_url=f"{replica.internal_url}/operator", headers=headers, trust_env=False) as desk:
        page = (await desk.get("/sessions", params={"limit": 1})).json()
        assert (await desk.get("/sessions", params={"limit": 1, "cursor": page["next"]})).json()["sessions"] != []
        for path in ("/replicas", "/limits"):
            assert (await desk.get(path)).status_code == 200
        assert (await desk.delete("/limits/192.0.2.1")).status_code == 200


async def has_left(redis: Secured) -> bool:
    return "sunsubscribe" in await commands(redis)


async def alone(api: Api, code: str) -> bool:
    read = await api.read(code)
    return len(read["sessionData"]["participants"]) == 1


async def commands(redis: Secured) -> set[str]:
    """The commands that were called, those of scripts included."""
    stats: Any = await redis.server.call("INFO", "commandstats")
    return set(re.findall(r"cmdstat_(\w+)", stats.decode())) - NOT_OURS


def allowed() -> set[str]:
    return {word[1:] for word in documented_user().split() if word.startswith("+")}


async def test_the_harness_means_what_it_says() -> None:
    """Without one of its commands the service is refused, and that is seen."""
    async with Secured() as redis:
        await redis.server.call("ACL", "SETUSER", "join-session", "-evalsha", "-eval")
        async with replicas(redis.url, 1) as started:
            api = Api(started)
            assert (await api.call("POST", "/api/session/create", json={})).status_code == 503
            await api.close()
            await asyncio.to_thread(started[0].stop)
        assert await redis.refusals()
