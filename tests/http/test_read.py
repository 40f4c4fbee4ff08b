"""`GET /api/session/{sessionID}`: state, ETag, 304; CORS on all routes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.people import Api, People, movie, timeless
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRIEND = "https://app.example.org"
CORS = "access-control-"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def friendly() -> AsyncIterator[dict[str, Api]]:
    """By what is allowed: a list of origins, or any."""
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 1, allowed_origins=f"{FRIEND}, http://localhost:3000") as listed,
        served_here(redis.url(), 1, allowed_origins="*") as anyone,
    ):
        apis = {"list": Api(listed), "any": Api(anyone)}
        yield apis
        for api in apis.values():
            await api.close()


async def test_get_answers_with_state_and_meta(api: Api, people: People) -> None:
    made = await api.create(title="Friday", movies=[movie("a")])
    person = await people.join(made.code, name="Ada")
    answer = await api.call("GET", made.path)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["sessionID", "sessionData", "meta"]
    assert body["sessionID"] == body["meta"]["sessionID"] == made.code
    assert body["sessionData"] == await person.at(person.ack["version"])
    assert [each["name"] for each in body["sessionData"]["participants"]] == ["Ada"]
    assert answer.headers["ETag"] == f'"{body["meta"]["epoch"]}-{body["meta"]["version"]}"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_an_unchanged_session_is_304_on_if_none_match(api: Api, form: str) -> None:
    made = await api.create()
    etag = (await api.call("GET", made.path)).headers["ETag"]
    answer = await api.call("GET", made.path, headers={"If-None-Match": form.format(etag)})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert "Content-Type" not in answer.headers


async def test_a_large_session_is_read_again_only_once_it_has_changed(redis_server: RedisServer) -> None:
    async def read() -> tuple[dict[str, Any], int]:
        answer = await api.call("GET", made.path)
        statistics = await redis_server.call("INFO", "commandstats")
        readings = re.search(r"cmdstat_hgetall:calls=(\d+)", statistics.decode())
        assert readings is not None
        return timeless(answer.json()), int(readings[1])

    async with served_here(redis_server.url()) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie(overview="o" * 900) for _ in range(50)])
        first, before = await read()
        again, unread = await read()
        assert (again, unread) == (first, before)
        await redis_server.call("PEXPIREAT", f"js:{{{made.code}}}", 4_102_444_800_000)
        prolonged, unread = await read()
        assert unread == before
        assert prolonged == first | {"meta": first["meta"] | {"expiresAt": "2100-01-01T00:00:00.000Z"}}
        change = {"title": "Friday"}
        assert (await api.call("PATCH", made.path, token=made.host_token, json=change)).status_code == 200
        changed, after = await read()
        assert after == before + 1
        assert (changed["meta"]["title"], changed["sessionData"]) == ("Friday", first["sessionData"])
        await api.call("DELETE", made.path, token=made.host_token)
        assert (await api.call("GET", made.path)).status_code == 404
        await api.close()


async def test_an_unchanged_session_costs_one_command(redis_server: RedisServer) -> None:
    async def used() -> dict[str, int]:
        statistics = await redis_server.call("INFO", "commandstats")
        calls = re.findall(r"cmdstat_(hmget|hgetall|pexpiretime):calls=(\d+)", statistics.decode())
        return {name: int(count) for name, count in calls}

    async with served_here(redis_server.url()) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie() for _ in range(50)])
        etag = (await api.call("GET", made.path)).headers["ETag"]
        before = await used()
        for _ in range(5):
            assert (await api.call("GET", made.path, headers={"If-None-Match": etag})).status_code == 304
        after = await used()
        await api.close()
    assert {name: count - before.get(name, 0) for name, count in after.items()} == {
        "hmget": 5,
        "hgetall": 0,
        "pexpiretime": 0,
    }


async def test_a_changed_session_is_200_on_if_none_match(api: Api) -> None:
    made = await api.create()
    etag = (await api.call("GET", made.path)).headers["ETag"]
    await api.call("PATCH", made.path, token=made.host_token, json={"title": "New"})
    answer = await api.call("GET", made.path, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.headers["ETag"] != etag


async def test_get_is_not_found_for_unknown_and_malformed_codes_alike(api: Api) -> None:
    answers = [await api.call("GET", f"/api/session/{code}") for code in (UNKNOWN, "12345", "x", "%F0%9F%8E%AC", "*")]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (404, b'{"message":"Session not found or has expired","code":"session-not-found"}')
    }


async def test_get_trims_and_takes_a_trailing_slash_and_head(api: Api) -> None:
    made = await api.create()
    plain = await api.call("GET", made.path)
    for path in (f"/api/session/%20{made.code}%C2%A0", made.path + "/"):
        assert timeless((await api.call("GET", path)).json()) == timeless(plain.json())
    head = await api.call("HEAD", made.path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", plain.headers["ETag"])


async def test_options_is_204_and_names_the_methods(api: Api) -> None:
    for path, methods in {
        "/api/session/123456": {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"},
        "/api/session/123456/movies": {"POST", "OPTIONS"},
        "/api/session/123456/movies/a": {"DELETE", "OPTIONS"},
        "/api/session/123456/movies/a/vote": {"PUT", "DELETE", "OPTIONS"},
        "/api/session/123456/participants/a": {"PATCH", "DELETE", "OPTIONS"},
    }.items():
        answer = await api.call("OPTIONS", path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/api/session/join", "/api/session/create", "/api/session/000000", "/nowhere"])
async def test_without_a_list_there_are_no_cors_headers(api: Api, path: str) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("POST", "OPTIONS"):
        answer = await api.call(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith(CORS)]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_listed_origins_get_cors_headers_on_answers_and_errors(friendly: dict[str, Api], method: str) -> None:
    answer = await friendly["list"].call(method, "/api/session/join", headers={"Origin": FRIEND})
    assert answer.status_code >= 400
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "Origin" in answer.headers["Vary"]
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{FRIEND}.evil.example", "http://app.example.org", "null", ""]
)
async def test_other_origins_get_none(friendly: dict[str, Api], origin: str) -> None:
    answer = await friendly["list"].call("POST", "/api/session/create", headers={"Origin": origin})
    assert answer.status_code == 201
    assert not [name for name in answer.headers if name.startswith(CORS)]
    assert "Origin" in answer.headers["Vary"]


async def test_a_preflight_allows_what_clients_send(friendly: dict[str, Api]) -> None:
    headers = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = await friendly["list"].call("OPTIONS", "/api/session/123456", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "idempotency-key"))


async def test_any_origin_is_allowed_where_the_list_says_so(friendly: dict[str, Api]) -> None:
    answer = await friendly["any"].call("POST", "/api/session/create", headers={"Origin": "https://who.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://who.example"
    same_origin = await friendly["any"].call("POST", "/api/session/create")
    assert "Access-Control-Allow-Origin" not in same_origin.headers
