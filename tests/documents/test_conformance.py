"""That the harness finds what the documents do not show."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from tests.harness.conformance import check_ack, check_answer, check_event, violations

DATA: Final = {"createdAt": "2026-01-22T12:00:00.000Z", "movies": [], "participants": []}
META: Final = {
    "sessionID": "123456",
    "epoch": "a",
    "version": 1,
    "title": None,
    "locked": False,
    "capacity": 9,
    "expiresAt": "2026-01-22T12:00:00.000Z",
    "people": 0,
    "observers": 0,
    "phase": "voting",
    "decision": None,
    "decideAt": None,
    "decideWhen": "host",
    "reveal": "live",
    "now": "2026-01-22T12:00:00.000Z",
}
NOW: Final = "2026-01-22T12:00:00.000Z"
STATE: Final = {"sessionID": "123456", "sessionData": DATA, "meta": META}


def found() -> int:
    number = len(violations)
    violations.clear()
    return number


@pytest.mark.parametrize(
    ("status", "headers", "body", "wrong"),
    [
        (200, {"ETag": '"a-1"'}, STATE, 0),
        (200, {}, STATE, 1),
        (200, {"ETag": '"a-1"'}, {**STATE, "hostToken": "secret"}, 1),
        (200, {"ETag": '"a-1"'}, {"sessionID": "123456"}, 2),
        (404, {"X-Error-Code": "session-not-found"}, {"message": "gone", "code": "session-not-found"}, 0),
        (404, {"X-Error-Code": "movie-not-found"}, {"message": "gone", "code": "movie-not-found"}, 1),
        (404, {"X-Error-Code": "session-not-found"}, {"message": "gone", "code": "movie-not-found"}, 1),
        (418, {}, {"message": "I'm a teapot", "code": "not-found"}, 1),
    ],
)
def test_answers(status: int, headers: dict[str, str], body: dict[str, Any], wrong: int) -> None:
    request = httpx.Request("GET", "http://localhost/api/session/123456")
    check_answer(httpx.Response(status, headers=headers, json=body, request=request))
    assert found() == wrong


def test_an_answer_that_is_no_json_is_found() -> None:
    request = httpx.Request("GET", "http://localhost/api/session/123456")
    check_answer(
        httpx.Response(500, headers={"X-Error-Code": "internal-error"}, html="<h1>Error</h1>", request=request)
    )
    assert found() == 1


@pytest.mark.parametrize(
    ("event", "args", "wrong"),
    [
        ("session-update", [DATA, META, "a-1"], 0),
        ("session-update", [DATA], 1),
        ("session-update", [{**DATA, "socketIDs": []}, META, "a-1"], 1),
        ("session-ended", [{"sessionID": "123456", "reason": "ended"}], 0),
        ("session-ended", [{"sessionID": "123456", "reason": "bored"}], 1),
        ("session-began", [], 1),
    ],
)
def test_events(event: str, args: list[Any], wrong: int) -> None:
    check_event(event, args)
    assert found() == wrong


@pytest.mark.parametrize(
    ("event", "ack", "wrong"),
    [
        ("vote", {"ok": True, "version": 1, "now": NOW}, 0),
        ("vote", {"ok": True}, 1),
        ("vote", {"ok": False, "code": "movie-not-found", "message": "Movie not found"}, 0),
        ("vote", {"ok": False, "code": "who-knows", "message": "?"}, 1),
        ("dance", {"ok": False, "code": "unknown-event", "message": "Unknown event"}, 0),
        ("dance", {"ok": True, "version": 1, "now": NOW}, 1),
    ],
)
def test_acknowledgements(event: str, ack: dict[str, Any], wrong: int) -> None:
    check_ack(event, ack)
    assert found() == wrong
