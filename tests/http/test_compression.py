"""Large states of sessions are compressed for clients that accept it, and never an answer with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.people import Api, Made, movie, timeless
from tests.harness.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replica() -> AsyncIterator[Here]:
    async with RedisServer() as redis, served_here(redis.url(), compression=True) as (started,):
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def api(replica: Here) -> AsyncIterator[Api]:
    opened = Api([replica])
    yield opened
    await opened.close()


MOVIES = [movie(f"m{number}") for number in range(30)]


async def asked(replica: Here, method: str, path: str, *, accept: str = "gzip", **options: Any) -> httpx.Response:
    headers = {"Accept-Encoding": accept, **options.pop("headers", {})}
    async with httpx.AsyncClient(base_url=replica.url, trust_env=False) as client:
        return await client.request(method, path, headers=headers, **options)


async def read(replica: Here, made: Made, **options: Any) -> httpx.Response:
    return await asked(replica, "GET", made.path, **options)


async def test_a_large_state_is_compressed_under_the_same_etag(api: Api, replica: Here) -> None:
    made = await api.create(movies=MOVIES)
    plain, compressed = [await read(replica, made, accept=accept) for accept in ("identity", "gzip")]
    assert (compressed.headers["content-encoding"], compressed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    assert timeless(compressed.json()) == timeless(plain.json())
    assert compressed.headers["etag"] == plain.headers["etag"]
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    for tag in (plain.headers["etag"], f"W/{plain.headers['etag']}"):
        unchanged = await read(replica, made, headers={"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_a_large_answer_to_a_join_is_compressed(api: Api, replica: Here) -> None:
    made = await api.create(movies=MOVIES)
    answer = await asked(replica, "POST", "/api/session/join", json={"sessionID": made.code})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["sessionData"] == made.data


async def test_a_small_state_is_not_compressed(api: Api, replica: Here) -> None:
    answer = await read(replica, await api.create())
    assert not {"content-encoding", "vary"} & set(answer.headers)


async def test_an_answer_with_a_token_is_not_compressed(api: Api, replica: Here) -> None:
    answer = await asked(replica, "POST", "/api/session/create", json={"movies": MOVIES})
    assert answer.status_code == 201
    assert "hostToken" in answer.json()
    assert not {"content-encoding", "vary"} & set(answer.headers)


async def test_compression_can_be_switched_off() -> None:
    async with RedisServer() as redis, served_here(redis.url(), compression=False) as (replica,):
        api = Api([replica])
        made = await api.create(movies=MOVIES)
        await api.close()
        answer = await read(replica, made)
        assert not {"content-encoding", "vary"} & set(answer.headers)
