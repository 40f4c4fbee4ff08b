"""The cookie with the bucket of a session, by which load balancers bring its people together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from app.http.bucket_cookie import BucketCookie
from app.sessions.errors import SessionError
from tests.harness.here import Here, served_here
from tests.harness.people import Api
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

OLD: Final = "of-before" * 4
NEW: Final = "of-late" * 5
LEASE: Final = 0.6


@asynccontextmanager
async def served(redis: RedisServer, **settings: Any) -> AsyncIterator[tuple[Api, Here]]:
    """A replica that sets the cookie, unless told otherwise."""
    async with served_here(redis.url(), **{"affinity_bucket_cookie": "bucket", **settings}) as (replica,):
        api = Api([replica])
        yield api, replica
        await api.close()


async def created(api: Api) -> httpx.Response:
    answer = await api.call("POST", "/api/session/create")
    assert answer.status_code == 201
    return answer


async def joined(api: Api, code: str, **headers: str) -> httpx.Response:
    return await api.call("POST", "/api/session/join", json={"sessionID": code}, headers=headers)


def bucket(answer: httpx.Response) -> str:
    """The bucket that an answer sets, for the browser's session."""
    (cookie,) = answer.headers.get_list("set-cookie")
    match = re.fullmatch(r"bucket=([0-9a-f]{3}); Path=/; HttpOnly; SameSite=Lax", cookie)
    assert match is not None, cookie
    return match[1]


async def test_whoever_creates_or_joins_a_session_gets_its_bucket(redis_server: RedisServer) -> None:
    async with served(redis_server) as (api, _), served(redis_server) as (other, _):
        buckets = set()
        for _ in range(5):
            answer = await created(api)
            code = answer.json()["sessionID"]
            assert bucket(answer) == bucket(await joined(api, code)) == bucket(await joined(other, f" {code} "))
            buckets.add(bucket(answer))
        assert len(buckets) > 1


async def test_only_success_sets_it(redis_server: RedisServer) -> None:
    async with served(redis_server, code_alphabet="digits", code_length=6) as (api, _):
        code = (await created(api)).json()["sessionID"]
        refused = [
            await joined(api, ""),
            await joined(api, "a text"),
            await joined(api, f"{(int(code) + 1) % 1_000_000:06}"),
            await api.call("POST", "/api/session/create", content="no JSON"),
            await api.call("GET", "/api/session/join"),
        ]
        assert [answer.status_code for answer in refused] == [400, 404, 404, 400, 405]
        assert not any("set-cookie" in answer.headers for answer in refused)
        assert "set-cookie" not in (await api.call("GET", f"/api/session/{code}")).headers


async def test_it_is_off_by_default(redis_server: RedisServer) -> None:
    async with served(redis_server, affinity_bucket_cookie=None) as (api, _):
        answer = await created(api)
        assert "set-cookie" not in answer.headers
        assert "set-cookie" not in (await joined(api, answer.json()["sessionID"])).headers


async def test_pages_of_listed_origins_may_keep_it(redis_server: RedisServer) -> None:
    page, settings = "https://app.example", {"affinity_bucket_secure": True, "affinity_bucket_same_site": "none"}
    allowed = "access-control-allow-credentials"
    async with served(redis_server, allowed_origins=page, **settings) as (api, _):
        code = (await created(api)).json()["sessionID"]
        answer = await joined(api, code, Origin=page)
        assert answer.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=None; Secure")
        assert answer.headers[allowed] == "true"
        asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
        assert (await api.call("OPTIONS", "/api/session/join", headers=asked)).headers[allowed] == "true"
        assert allowed not in (await joined(api, code, Origin="https://others.example")).headers
    # Without the cookie, and where anybody's page may call, there is nothing to keep.
    for others in ({"allowed_origins": "*"}, {"allowed_origins": page, "affinity_bucket_cookie": None}):
        async with served(redis_server, **settings | others) as (api, _):
            assert allowed not in (await joined(api, code, Origin=page)).headers


async def test_a_list_of_secrets_changes_a_bucket_once(redis_server: RedisServer) -> None:
    """When the newer secret signs: not while a replica does not know it, and not when the older one goes."""
    async with served(redis_server, lease=LEASE, secret=OLD) as (before, _):
        code = (await created(before)).json()["sessionID"]
        first = bucket(await joined(before, code))
        async with served(redis_server, lease=LEASE, secret=f"{NEW},{OLD}") as (during, _):
            assert bucket(await joined(during, code)) == first
    async with served(redis_server, lease=LEASE, secret=f"{NEW},{OLD}") as (during, _):

        async def changed() -> bool:
            return bucket(await joined(during, code)) != first

        await until(changed, "the newer secret signs")
        async with served(redis_server, lease=LEASE, secret=NEW) as (after, _):
            assert bucket(await joined(after, code)) == bucket(await joined(during, code))


def test_codes_are_spread_over_all_buckets() -> None:
    cookie = BucketCookie("bucket", lambda: b"of a test", same_site="lax", secure=False)
    counted = Counter(cookie.of(f"{number:06}")["set-cookie"] for number in range(100_000))
    assert len(counted) == 4096
    assert max(counted.values()) < 60


def test_no_cookie_is_better_than_no_answer() -> None:
    def unknown() -> bytes:
        raise SessionError("unavailable")

    assert BucketCookie("bucket", unknown, same_site="lax", secure=False).of("123456") == {}
