"""Idempotency keys on every mutation, over both transports, repeated on any replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.harness.people import Api, People, movie

pytestmark = pytest.mark.asyncio(loop_scope="session")

# By action: method, route below the session's (with its movie, guest and host), body of the request.
REQUESTS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "add-movie": ("POST", "/movies", {"id": "new", "title": "New"}),
    "remove-movie": ("DELETE", "/movies/there", None),
    "vote": ("PUT", "/movies/there/vote", {"rating": 4}),
    "withdraw-vote": ("DELETE", "/movies/rated/vote", None),
    "rename-participant": ("PATCH", "/participants/{host}", {"name": "Once"}),
    "update-session": ("PATCH", "", {"title": "Once"}),
    "kick-participant": ("DELETE", "/participants/{guest}", None),
    "end-session": ("DELETE", "", None),
}
EVENTS: dict[str, dict[str, Any]] = {
    "add-movie": {"id": "new", "title": "New"},
    "remove-movie": {"movieID": "there"},
    "vote": {"movieID": "there", "rating": 4},
    "withdraw-vote": {"movieID": "rated"},
    "rename-participant": {"name": "Once"},
    "update-session": {"title": "Once"},
    "kick-participant": {"participantID": "{guest}"},
    "transfer-host": {"participantID": "{guest}"},
    "leave-session": {},
    "end-session": {},
}
OTHER: dict[str, dict[str, Any]] = {
    "add-movie": {"id": "other", "title": "Other"},
    "remove-movie": {"movieID": "rated"},
    "vote": {"movieID": "there", "rating": 1},
    "withdraw-vote": {"movieID": "there"},
    "rename-participant": {"name": "Twice"},
    "update-session": {"title": "Twice"},
    "kick-participant": {"participantID": "{guest}", "ban": True},
}


async def stage(api: Api, people: People) -> tuple[Any, Any, Any]:
    made = await api.create(movies=[movie("there"), movie("rated")])
    host, guest = await people.join(made.code, replica=0), await people.join(made.code, replica=1)
    await host.do("vote", movieID="rated", rating=5)
    return made, host, guest


def filled(payload: dict[str, Any], guest: str) -> dict[str, Any]:
    return {name: guest if value == "{guest}" else value for name, value in payload.items()}


@pytest.mark.parametrize("action", REQUESTS)
async def test_a_request_repeated_on_other_replicas_is_done_once_and_answered_alike(
    api: Api, people: People, action: str
) -> None:
    made, host, guest = await stage(api, people)
    before = (await api.read(made.code))["meta"]["version"]
    method, route, body = REQUESTS[action]
    path = made.path + route.format(guest=guest.id, host=host.id)
    answers = [
        await api.call(method, path, replica=replica, token=host.token, key="once", json=body) for replica in (0, 1, 2)
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.content for answer in answers] == [answers[0].content] * 3
    assert answers[0].json()["version"] == before + 1
    if action != "end-session":
        assert (await api.read(made.code))["meta"]["version"] == before + 1


@pytest.mark.parametrize("action", EVENTS)
async def test_an_event_repeated_is_done_once_and_answered_alike(api: Api, people: People, action: str) -> None:
    _made, host, guest = await stage(api, people)
    payload = filled(EVENTS[action], guest.id) | {"mid": "once"}
    acks = [await host.do(action, **payload) for _ in range(3)]
    assert acks[0]["ok"], acks
    assert acks == [acks[0]] * 3


async def test_leaving_repeated_by_another_socket_is_answered_alike_and_takes_that_one_along(
    api: Api, people: People
) -> None:
    made, host, guest = await stage(api, people)
    other = await people.join(made.code, token=guest.token, replica=2)
    first = await guest.do("leave-session", mid="leave")
    assert first["ok"]
    assert await other.do("leave-session", mid="leave") == first
    left = [person["id"] for person in (await api.read(made.code))["sessionData"]["participants"]]
    assert left == [host.id]
    assert (await other.do("vote", movieID="there", rating=4))["code"] == "not-joined"


async def test_only_the_repeat_itself_is_answered_after_leaving(api: Api, people: People) -> None:
    _, _, guest = await stage(api, people)
    assert (await guest.do("vote", movieID="there", rating=4, mid="vote"))["ok"]
    assert (await guest.do("leave-session", mid="leave"))["ok"]
    for mid in ("vote", "new"):
        assert (await guest.do("vote", movieID="there", rating=4, mid=mid))["code"] == "not-joined"
    assert (await guest.do("leave-session"))["code"] == "not-joined"


@pytest.mark.parametrize("action", [action for action in EVENTS if action not in ("leave-session", "end-session")])
async def test_an_event_repeated_from_another_replica_is_done_once(api: Api, people: People, action: str) -> None:
    made, host, guest = await stage(api, people)
    payload = filled(EVENTS[action], guest.id) | {"mid": "once"}
    first = await host.do(action, **payload)
    elsewhere = await people.join(made.code, token=host.token, replica=2)
    assert await elsewhere.do(action, **payload) == first
    assert (await api.read(made.code))["meta"]["version"] == first["version"]


async def test_a_key_is_shared_by_both_transports(api: Api, people: People) -> None:
    made, host, _ = await stage(api, people)
    ack = await host.do("vote", movieID="there", rating=4, mid="both")
    answer = await api.call(
        "PUT", f"{made.path}/movies/there/vote", replica=2, token=host.token, key="both", json={"rating": 4}
    )
    assert (answer.status_code, answer.json()) == (200, ack)


@pytest.mark.parametrize("action", OTHER)
async def test_the_same_key_with_another_body_is_a_mismatch(api: Api, people: People, action: str) -> None:
    made, host, guest = await stage(api, people)
    assert (await host.do(action, **filled(EVENTS[action], guest.id), mid="once"))["ok"]
    ack = await host.do(action, **filled(OTHER[action], guest.id), mid="once")
    assert (ack["ok"], ack["code"]) == (False, "idempotency-mismatch")
    other_action = await host.do("update-session", locked=True, mid="once")
    assert other_action["code"] == "idempotency-mismatch"
    answer = await api.call("PATCH", made.path, token=host.token, key="once", json={"locked": True})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")


async def test_keys_belong_to_their_caller_and_session(api: Api, people: People) -> None:
    made, host, guest = await stage(api, people)
    assert (await host.do("vote", movieID="there", rating=5, mid="mine"))["ok"]
    ack = await guest.do("vote", movieID="there", rating=3, mid="mine")
    assert ack["ok"]
    _other, other_host, _ = await stage(api, people)
    assert (await other_host.do("vote", movieID="there", rating=1, mid="mine"))["ok"]
    entry = (await api.read(made.code))["sessionData"]["movies"][0]
    assert (entry["count"], entry["score"]) == (2, 75)


async def test_what_was_refused_for_want_of_rights_can_be_repeated_with_them(api: Api, people: People) -> None:
    _made, host, guest = await stage(api, people)
    assert (await guest.do("update-session", title="x", mid="later"))["code"] == "forbidden"
    assert (await host.do("transfer-host", participantID=guest.id))["ok"]
    assert (await guest.do("update-session", title="x", mid="later"))["ok"]


async def test_one_key_twenty_times_at_once_through_three_replicas_is_done_once(api: Api, people: People) -> None:
    made, host, _ = await stage(api, people)
    before = (await api.read(made.code))["meta"]["version"]
    body = {"id": "one", "title": "x"}
    answers = await asyncio.gather(
        *(
            api.call("POST", f"{made.path}/movies", replica=number % 3, token=host.token, key="k", json=body)
            for number in range(20)
        )
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert (await api.read(made.code))["meta"]["version"] == before + 1
