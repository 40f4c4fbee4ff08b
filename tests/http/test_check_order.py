"""The order of checks: who may not ask at all is told that, whatever else is wrong with the request."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.harness.people import Api, People, movie
from tests.harness.service import UNKNOWN

pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD: Final[dict[tuple[str, str], Any]] = {
    ("PATCH", ""): {"capacity": 0},
    ("POST", "/movies"): {"movies": []},
    ("PUT", "/movies/m1/vote"): {"rating": 9},
    ("DELETE", "/participants/p?ban=maybe"): None,
}
GENUINE_FORM: Final = "h.x.1.AAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(("method", "path"), BAD)
async def test_a_strangers_bad_body_is_401_and_404_where_there_is_no_session(api: Api, method: str, path: str) -> None:
    made, body = await api.create(movies=[movie("m1")]), BAD[method, path]
    for token in (None, "nonsense", GENUINE_FORM):
        answer = await api.call(method, made.path + path, token=token, json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        answer = await api.call(method, f"/api/session/{UNKNOWN}{path}", token=token, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "session-not-found")
    answer = await api.call(method, made.path + path, token=made.host_token, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")


async def test_a_bad_body_with_the_token_of_a_session_that_has_ended_is_404(api: Api) -> None:
    made = await api.create()
    await api.call("DELETE", made.path, token=made.host_token)
    answer = await api.call("PATCH", made.path, token=made.host_token, json={"capacity": 0})
    assert answer.status_code == 404


@pytest.mark.parametrize("body", [{"capacity": 0}, {"capacity": 5000}, {"ttlSeconds": 100_000}])
async def test_who_may_not_is_403_whatever_the_body(api: Api, people: People, body: dict[str, Any]) -> None:
    made = await api.create()
    await people.join(made.code, token=made.host_token)
    guest = await people.join(made.code)
    answer = await api.call("PATCH", made.path, token=guest.token, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await guest.do("update-session", **body))["code"] == "forbidden"


async def test_a_bad_body_of_somebody_who_has_left_is_400(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1")])
    guest = await people.join(made.code)
    await guest.do("leave-session")
    path = f"{made.path}/movies/m1/vote"
    assert (await api.call("PUT", path, token=guest.token, json={"rating": 9})).status_code == 400
    assert (await api.call("PUT", path, token=guest.token, json={"rating": 5})).status_code == 409


async def test_a_body_that_is_too_large_is_413_before_anything_else(api: Api) -> None:
    answer = await api.call("PATCH", f"/api/session/{UNKNOWN}", content=b" " * 20_000)
    assert answer.status_code == 413


async def test_what_is_wrong_with_a_body_is_a_sentence_and_a_field(api: Api) -> None:
    made = await api.create(movies=[movie("m1")])
    for method, path, body, message, field in (
        ("POST", "/movies", {"id": "a", "title": "A", "year": 1700}, "Year must be 1850 or later", "movies.0.year"),
        ("PATCH", "", {"ttlSeconds": 100_000}, "Lifetime must be 86400 seconds or less", "ttlSeconds"),
        ("PATCH", "", {"capacity": "5"}, "Capacity must be a whole number", "capacity"),
        ("PUT", "/movies/m1/vote", {"rating": 9}, "Rating must be 5 or less", "rating"),
        ("DELETE", "/participants/p?ban=maybe", None, "Ban must be true or false", "ban"),
    ):
        answer = await api.call(method, made.path + path, token=made.host_token, json=body)
        assert (answer.status_code, answer.json()) == (
            400,
            {"message": message, "code": "invalid-payload", "field": field},
        )
    answer = await api.call("PATCH", made.path, token=made.host_token, json={})
    assert answer.json() == {"message": "The request must change something", "code": "invalid-payload"}
