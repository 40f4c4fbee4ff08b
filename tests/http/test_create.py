"""`POST /api/session/create`."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.people import Api, People, movie
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/session/create"
KEY = "only-for-friends"


@pytest_asyncio.fixture(loop_scope="session")
async def guarded() -> AsyncIterator[Api]:
    """Two replicas with a key, a budget of five creations, and two live sessions at the most."""
    limits = {"create_key": KEY, "create_budget": 5, "max_sessions": 2, "unlimited_addresses": ""}
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 2, trusted_proxies="127.0.0.0/8", **limits) as started,
    ):
        api = Api(started)
        yield api
        await api.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def three() -> AsyncIterator[Api]:
    """Three replicas that share a Redis."""
    async with RedisServer() as redis, served_here(redis.url(), 3, redis_timeout=10) as started:
        api = Api(started)
        yield api
        await api.close()


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_codes_have_six_digits_by_default() -> None:
    async with RedisServer() as redis, served_here(redis.url(), **DIGITS) as started:
        api = Api(started)
        assert re.fullmatch(r"[0-9]{6}", (await api.create()).code)
        await api.close()


async def test_create_answers_201_with_everything_to_begin_with(api: Api) -> None:
    answer = await api.call("POST", PATH)
    body = answer.json()
    assert answer.status_code == 201
    assert list(body) == ["sessionID", "message", "sessionData", "hostToken", "meta"]
    assert body["message"] == "Session created"
    assert list(body["sessionData"]) == ["createdAt", "movies", "participants"]
    assert (body["sessionData"]["movies"], body["sessionData"]["participants"]) == ([], [])
    meta = body["meta"]
    assert list(meta) == [
        *("sessionID", "epoch", "version", "title", "locked", "capacity", "expiresAt", "people"),
        *("observers", "phase", "decision", "decideAt", "decideWhen", "reveal", "now"),
    ]
    assert (meta["phase"], meta["decision"], meta["decideAt"]) == ("voting", None, None)
    assert (meta["decideWhen"], meta["reveal"], meta["now"]) == ("host", "live", body["sessionData"]["createdAt"])
    assert (meta["sessionID"], meta["version"], meta["title"]) == (body["sessionID"], 1, None)
    assert (meta["locked"], meta["capacity"]) == (False, 100)
    assert meta["people"] == 0
    assert seconds_between(body["sessionData"]["createdAt"], meta["expiresAt"]) == 1800
    assert answer.headers["Location"] == f"/api/session/{body['sessionID']}"
    assert answer.headers["ETag"] == f'"{meta["epoch"]}-1"'


async def test_create_takes_title_lifetime_capacity_and_movies(api: Api) -> None:
    movies = [movie("b", year=1999, genres=["Sci-Fi"], overview="…", posterUrl="https://x.org/b.jpg"), movie("a")]
    made = await api.create(title="  Freitag 🎬 ", ttlSeconds=90.5, capacity=1000, movies=movies)
    assert (made.meta["title"], made.meta["capacity"]) == ("Freitag 🎬", 1000)
    assert seconds_between(made.data["createdAt"], made.meta["expiresAt"]) == 90.5
    first, second = made.data["movies"]
    unrated = {"count": 0, "vetoes": 0, "score": 0, "compatibility": 0}
    common = {"addedBy": None, "addedAt": made.data["createdAt"], **unrated}
    assert first == {**movies[0], **common, "rank": 1}
    assert second == {**movies[1], **common, "rank": 2}


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"title":null,"capacity":null,"movies":[],"unknown":1}'])
async def test_every_field_of_create_is_optional(api: Api, body: bytes) -> None:
    assert (await api.call("POST", PATH, content=body)).status_code == 201


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b'"x"', b"\xff", b'{"title":NaN}', b'{"capacity":1e999}', b"[" * 5000]
)
async def test_a_body_that_is_no_json_object_is_400(api: Api, body: bytes) -> None:
    answer = await api.call("POST", PATH, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (b'{"title":57913}', "title", "57913"),
        (b'{"title":"Secret\\u0000Film"}', "title", "Secret"),
        (b'{"title":"Secret\\u202eFilm"}', "title", "Secret"),
        (b'{"title":"' + b"x" * 101 + b'"}', "title", "xxx"),
        (b'{"capacity":0}', "capacity", "got 0"),
        (b'{"capacity":-7913}', "capacity", "7913"),
        (b'{"capacity":7913.5}', "capacity", "7913"),
        (b'{"capacity":"7913"}', "capacity", "7913"),
        (b'{"capacity":true}', "capacity", "true"),
        (b'{"capacity":7913}', "capacity", "7913"),
        (b'{"capacity":1e99}', "capacity", "e99"),
        (b'{"capacity":99999999999999999999}', "capacity", "999"),
        (b'{"ttlSeconds":0}', "ttlSeconds", "got 0"),
        (b'{"ttlSeconds":-7913}', "ttlSeconds", "7913"),
        (b'{"ttlSeconds":97913}', "ttlSeconds", "97913"),
        (b'{"ttlSeconds":"7913"}', "ttlSeconds", "7913"),
        (b'{"leaverRatings":"forget"}', "leaverRatings", "forget"),
        (b'{"movies":{"Secret":1}}', "movies", "Secret"),
        (b'{"movies":[7913]}', "movies.0", "7913"),
        (b'{"movies":[{"id":"secret"}]}', "movies.0.title", "secret"),
        (b'{"movies":[{"title":"Secret"}]}', "movies.0.id", "Secret"),
    ],
)
async def test_a_bad_field_is_400_and_names_the_field_not_the_value(
    api: Api, body: bytes, field: str, value: str
) -> None:
    answer = await api.call("POST", PATH, content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == answer.headers["X-Error-Code"] == "invalid-payload"
    assert answer.json()["field"] == field
    assert value not in answer.json()["message"]


async def test_all_movies_of_create_or_no_session(api: Api) -> None:
    bad = await api.call("POST", PATH, json={"movies": [movie("a"), movie("b", posterUrl="http://x.org/b.jpg")]})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid-payload")
    assert (bad.json()["message"], bad.json()["field"]) == ("Poster URL must be an https URL", "movies.1.posterUrl")


async def test_create_removes_duplicate_movies(api: Api) -> None:
    made = await api.create(movies=[{"id": "a", "title": "first"}, {"id": "a", "title": "second"}])
    assert [entry["title"] for entry in made.data["movies"]] == ["first"]


async def test_create_takes_as_many_movies_as_a_session_holds(api: Api) -> None:
    assert len((await api.create(movies=[movie() for _ in range(500)])).data["movies"]) == 500
    more = await api.call("POST", PATH, json={"movies": [movie() for _ in range(501)]})
    assert (more.status_code, more.json()["code"]) == (409, "limit-reached")


async def test_create_takes_256_kib_where_movies_are_sent(api: Api) -> None:
    large = [movie(overview="x" * 900) for _ in range(250)]
    assert (await api.call("POST", PATH, json={"movies": large})).status_code == 201
    beyond = await api.call("POST", PATH, json={"movies": [*large, *large]})
    assert (beyond.status_code, beyond.json()["code"]) == (413, "payload-too-large")
    assert beyond.json()["message"] == "Request body too large"


async def test_codes_differ(three: Api) -> None:
    made = await asyncio.gather(*(three.create(replica=number % 3) for number in range(60)))
    assert len({each.code for each in made}) == 60
    assert len({each.host_token for each in made}) == 60


async def test_a_repeat_with_the_same_key_answers_the_same_on_every_replica(three: Api) -> None:
    answers = [
        await three.call("POST", PATH, replica=replica, key="again-and-again-1", json={"title": "Friday"})
        for replica in (0, 1, 2)
    ]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert [answer.json() for answer in answers] == [answers[0].json()] * 3


async def test_one_key_twenty_times_at_once_through_three_replicas_makes_one_session(three: Api) -> None:
    answers = await asyncio.gather(
        *(
            three.call("POST", PATH, replica=number % 3, key="at-once-at-once-1", json={"capacity": 7})
            for number in range(20)
        )
    )
    assert [answer.text for answer in answers if answer.status_code != 201] == []
    assert {answer.content for answer in answers} == {answers[0].content}


async def test_the_same_key_with_another_body_is_422(api: Api) -> None:
    await api.call("POST", PATH, key="mine-and-only-mine", json={"title": "Friday"})
    other = await api.call("POST", PATH, key="mine-and-only-mine", json={"title": "Saturday"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")


async def test_a_key_of_create_is_known_for_the_lifetime_of_a_session_that_nobody_uses() -> None:
    async with RedisServer() as redis, served_here(redis.url(), lifetime=600, max_lifetime=3600) as started:
        api = Api(started)
        made = await api.call("POST", PATH, key="once-and-only-once")
        assert made.status_code == 201
        (key,) = await redis.call("KEYS", "js:created:*")
        assert 500 < await redis.call("TTL", key.decode()) <= 600
        await api.close()


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é"])
async def test_a_malformed_idempotency_key_is_400(api: Api, key: str) -> None:
    headers: Any = [(b"Idempotency-Key", key.encode())]
    answer = await api._clients[0].post(PATH, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")


async def test_a_key_of_create_that_others_behind_the_same_address_may_choose_is_400(api: Api) -> None:
    short = await api.call("POST", PATH, key="k" * 15)
    assert (short.status_code, short.json()) == (
        400,
        {
            "message": "Idempotency key must be 16 to 128 visible ASCII characters",
            "code": "invalid-payload",
            "field": "Idempotency-Key",
        },
    )
    assert (await api.call("POST", PATH, key="k" * 16)).status_code == 201
    made = await api.create()
    other = await api.call("PATCH", made.path, token=made.host_token, key="1", json={"locked": True})
    assert other.status_code == 200


_addresses = (f"10.1.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


def from_somewhere() -> dict[str, str]:
    """Headers of a request from an address that nobody has used."""
    return {"X-Forwarded-For": next(_addresses)}


@pytest.mark.parametrize("token", [None, "wrong", KEY + "x", KEY[:-1], "é"])
async def test_a_guarded_create_wants_its_key(guarded: Api, token: str | None) -> None:
    headers = from_somewhere()
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = await guarded._clients[0].post(PATH, headers=[(k.encode(), v.encode()) for k, v in headers.items()])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_wrong_keys_are_ten_a_minute_and_address_and_the_right_one_always_passes(guarded: Api) -> None:
    headers = from_somewhere()
    for number in range(10):
        wrong = await guarded.call("POST", PATH, replica=number % 2, token=f"wrong {number}", headers=headers)
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
    for number in range(2):
        refused = await guarded.call("POST", PATH, replica=number, token="wrong", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
    # None is no guess, and others are not counted with this address.
    assert (await guarded.call("POST", PATH, headers=headers)).status_code == 401
    assert (await guarded.call("POST", PATH, token="wrong", headers=from_somewhere())).status_code == 401
    made = await guarded.call("POST", PATH, token=KEY, headers=headers)
    assert made.status_code == 201
    path = f"/api/session/{made.json()['sessionID']}"
    assert (await guarded.call("DELETE", path, token=made.json()["hostToken"])).status_code == 200


async def test_live_sessions_are_capped_and_ended_ones_make_room(guarded: Api) -> None:
    headers = from_somewhere()
    made = [await guarded.call("POST", PATH, replica=n, token=KEY, headers=headers) for n in (0, 1)]
    assert [answer.status_code for answer in made] == [201, 201]
    full = await guarded.call("POST", PATH, token=KEY, headers=from_somewhere())
    assert (full.status_code, full.json()["code"]) == (409, "limit-reached")
    for answer in made:
        path = f"/api/session/{answer.json()['sessionID']}"
        assert (await guarded.call("DELETE", path, token=answer.json()["hostToken"])).status_code == 200
    async with asyncio.timeout(5):
        while (await guarded.call("POST", PATH, token=KEY, headers=from_somewhere())).status_code != 201:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_creations_have_a_budget_per_address_that_replicas_share(guarded: Api) -> None:
    headers = from_somewhere()
    answers = [await guarded.call("POST", PATH, replica=n % 2, token=KEY, headers=headers) for n in range(6)]
    assert 429 not in [answer.status_code for answer in answers[:5]]
    assert (answers[5].status_code, answers[5].json()["code"]) == (429, "too-many-requests")
    assert 1 <= int(answers[5].headers["Retry-After"]) <= 60
    elsewhere = await guarded.call("POST", PATH, token=KEY, headers=from_somewhere())
    assert elsewhere.status_code != 429


async def test_the_code_of_an_ended_session_rests_before_it_is_given_out_again() -> None:
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 1, **DIGITS | {"code_length": 1, "code_rest": 1}) as (replica,),
    ):
        api = Api([replica])
        made = [await api.create() for _ in range(10)]
        assert sorted(each.code for each in made) == list("0123456789")
        exhausted = await api.call("POST", PATH)
        assert (exhausted.status_code, exhausted.json()["code"]) == (503, "codes-exhausted")
        await api.call("DELETE", made[3].path, token=made[3].host_token)
        resting = await api.call("POST", PATH)
        assert resting.status_code == 503
        async with asyncio.timeout(5):
            while (answer := await api.call("POST", PATH)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert answer.json()["sessionID"] == made[3].code
        old_token = await api.call("PATCH", made[3].path, token=made[3].host_token, json={"locked": True})
        assert old_token.status_code == 401
        await api.close()


async def test_letter_codes_are_case_folded_and_trimmed(people: People) -> None:
    letters: dict[str, Any] = {"code_alphabet": "letters", "code_length": 8}
    async with RedisServer() as redis, served_here(redis.url(), **letters) as (replica,):
        api = Api([replica])
        made = await api.create()
        assert set(made.code) <= set("23456789CFGHJMPQRVWX")
        for typed in (made.code.lower(), f" {made.code.swapcase()}\n"):
            assert (await api.join(typed)).json()["sessionID"] == made.code
            assert (await api.call("GET", f"/api/session/{typed.strip()}")).json()["sessionID"] == made.code
        person = await People(people._node, [replica]).join(made.code.lower())
        assert person.code == made.code
        assert (await api.join("O0I1LAEU")).status_code == 404
        await person.client.close()
        await api.close()
