"""`POST /api/session/join`, row by row and byte by byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.fixtures import SHARED, chosen_topology
from tests.harness.here import Here, served_here
from tests.harness.people import Api, People, movie, timeless
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/session/join"
REQUIRED = b'{"message":"sessionID is required"}'
NOT_FOUND = b'{"message":"Session not found or has expired"}'
TOO_LARGE = b'{"message":"Request body too large"}'

NO_SESSION_ID = {
    "missing": b"{}",
    "null": b'{"sessionID":null}',
    "empty": b'{"sessionID":""}',
    "white space": b'{"sessionID":" \\t\\n\\u00a0\\u2003"}',
    "zero": b'{"sessionID":0}',
    "minus zero": b'{"sessionID":-0}',
    "true": b'{"sessionID":true}',
    "false": b'{"sessionID":false}',
    "float": b'{"sessionID":123456.0}',
    "exponent": b'{"sessionID":1e5}',
    "exponent beyond floats": b'{"sessionID":1e999}',
    "array": b'{"sessionID":["123456"]}',
    "object": b'{"sessionID":{"sessionID":"123456"}}',
    "other case": b'{"sessionId":"123456"}',
    "empty body": b"",
    "white body": b" \r\n",
    "not JSON": b"sessionID=123456",
    "cut off": b'{"sessionID":"123456"',
    "trailing text": b'{"sessionID":"123456"}x',
    "two documents": b'{"sessionID":"123456"}{"sessionID":"123456"}',
    "trailing comma": b'{"sessionID":"123456",}',
    "single quotes": b"{'sessionID':'123456'}",
    "NaN": b'{"sessionID":NaN}',
    "NaN beside it": b'{"sessionID":"123456","n":NaN}',
    "infinity": b'{"sessionID":-Infinity}',
    "array at the top": b'["123456"]',
    "string at the top": b'"123456"',
    "number at the top": b"123456",
    "null at the top": b"null",
    "not UTF-8": b'{"sessionID":"\xff\xfe123456"}',
    "overlong UTF-8": b'{"sessionID":"\xc0\xb1"}',
    "UTF-16": '{"sessionID":"123456"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"sessionID":"123456"}',
    "deep arrays": b"[" * 8000 + b"]" * 8000,
    "deep objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "deep, never closed": b"[" * 16000,
    "raw control character": b'{"sessionID":"12\x0034"}',
    "null key wins": b'{"sessionID":"123456","sessionID":null}',
}

NO_CODE: dict[str, Any] = {
    "five digits": "12345",
    "seven digits": "1234567",
    "letters": "abcdef",
    "digits and a letter": "12345a",
    "two spaces": "123  456",
    "a dash behind": "123456-",
    "two signs": "##123456",
    "no link": "movies#123456",
    "a link and more": "https://movies.example/#123456 x",
    "a long link": "https://movies.example/" + "x" * 180 + "#123456",
    "sign": "+12345",
    "minus": -12345,
    "short integer": 12345,
    "huge integer": int("9" * 4000),
    "text of 10 kB": "1" * 10_240,
    "Arabic-Indic digits": "١٢٣٤٥٦",
    "fullwidth digits": "１２３４５６",  # noqa: RUF001
    "mathematical digits": "𝟏𝟐𝟑𝟒𝟓𝟔",  # noqa: RUF001
    "superscripts": "¹²³⁴⁵⁶",
    "NUL": "12345\0",
    "NUL behind": "123456\0",
    "zero width space": "123456\u200b",
    "glob": "******",
    "key": "js:{1}",
    "path": "../../",
    "emoji": "🎬🎬🎬🎬🎬🎬",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service() -> AsyncIterator[list[Here]]:
    """A replica whose codes are six digits, as in the rows above."""
    async with chosen_topology() as topology, served_here(topology.url, **SHARED | DIGITS) as started:
        yield started


async def send(api: Api, body: bytes, **options: Any) -> Any:
    return await api.call("POST", PATH, content=body, **options)


async def gone(api: Api, code: str) -> None:
    async def unknown() -> bool:
        return bool((await api.join(code)).status_code == 404)

    await until(unknown, "the session has expired")


async def test_an_existing_session_answers_200_with_exactly_these_bytes(api: Api) -> None:
    made = await api.create()
    answer = await send(api, b'{"sessionID":"%s"}' % made.code.encode())
    created_at = made.data["createdAt"]
    assert answer.status_code == 200
    assert (
        answer.content
        == (
            f'{{"sessionID":"{made.code}","message":"Session found. You can now connect via WebSocket.",'
            f'"sessionData":{{"createdAt":"{created_at}","movies":[],"participants":[]}}}}'
        ).encode()
    )
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created_at)


async def test_the_answer_carries_the_head_as_etag(api: Api) -> None:
    made = await api.create()
    answer = await api.join(made.code)
    assert answer.headers["ETag"] == f'"{made.meta["epoch"]}-{made.meta["version"]}"'
    assert "Set-Cookie" not in answer.headers


async def test_joining_over_http_changes_nothing(api: Api) -> None:
    made = await api.create(ttlSeconds=600)
    before = timeless(await api.read(made.code))["meta"]
    answers = [await api.join(made.code) for _ in range(10)]
    assert {(answer.content, answer.headers["ETag"]) for answer in answers} == {
        (answers[0].content, f'"{before["epoch"]}-{before["version"]}"')
    }
    assert timeless(await api.read(made.code))["meta"] == before


async def test_session_data_is_complete_and_the_same_as_members_see(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("a", year=1999)])
    person = await people.join(made.code, name="Ada")
    ack = await person.do("vote", movieID="a", rating=4)
    seen = await person.at(ack["version"])
    answer = (await api.join(made.code)).json()
    assert list(answer) == ["sessionID", "message", "sessionData"]
    assert answer["sessionData"] == seen
    assert list(seen) == ["createdAt", "movies", "participants"]


async def test_a_locked_or_full_session_still_answers_200(api: Api, people: People) -> None:
    made = await api.create(capacity=1)
    await people.join(made.code, token=made.host_token)
    await api.call("PATCH", made.path, token=made.host_token, json={"locked": True})
    assert (await api.join(made.code)).status_code == 200


@pytest.mark.parametrize("name", NO_SESSION_ID)
async def test_a_request_without_session_id_is_400(api: Api, name: str) -> None:
    answer = await send(api, NO_SESSION_ID[name])
    assert (answer.status_code, answer.content) == (400, REQUIRED)
    assert answer.headers["X-Error-Code"] == "session-id-required"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", NO_CODE)
async def test_what_cannot_be_a_code_is_the_same_404(api: Api, name: str) -> None:
    number = NO_CODE[name]
    text = "9" * 4000 if name == "huge integer" else json.dumps(number)
    answer = await send(api, b'{"sessionID":%s}' % text.encode())
    assert (answer.status_code, answer.content) == (404, NOT_FOUND)
    assert answer.headers["X-Error-Code"] == "session-not-found"


async def test_lone_surrogates_are_no_code(api: Api) -> None:
    answer = await send(api, b'{"sessionID":"\\ud80012345"}')
    assert (answer.status_code, answer.content) == (404, NOT_FOUND)


async def test_unknown_expired_ended_and_malformed_look_the_same(api: Api) -> None:
    ended, expired = await api.create(), await api.create(ttlSeconds=0.05)
    await api.call("DELETE", ended.path, token=ended.host_token)
    await gone(api, expired.code)
    answers = [await api.join(text) for text in ("000000", ended.code, expired.code, "12345")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, NOT_FOUND)}
    seen = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in answers]
    assert all(headers == seen[0] for headers in seen)


async def test_a_json_integer_is_its_decimal_string(api: Api) -> None:
    made = await api.create()
    while made.code.startswith("0"):
        made = await api.create()
    answer = await send(api, b'{"sessionID":%s}' % made.code.encode())
    assert answer.json()["sessionID"] == made.code


async def test_leading_zeros_count(api: Api) -> None:
    code = (await api.create()).code
    answer = await send(api, b'{"sessionID":"%s"}' % code[1:].encode())
    assert answer.status_code == 404


@pytest.mark.parametrize("around", [" {} ", "\n{}\t", "\u00a0{}\u2003", "{} "])
async def test_both_ends_are_trimmed(api: Api, around: str) -> None:
    made = await api.create()
    answer = await api.join(around.format(made.code))
    assert answer.json()["sessionID"] == made.code


TYPED = {
    "a space": "{0} {1}",
    "dashes": "{0}-{1}",
    "a sign": "#{0}{1}",
    "a link": "https://movies.example/#{0}{1}",
    "a link to the big screen": "https://movies.example/#{0}{1}/tv",
    "white space around a link": "\t https://movies.example/#{0} {1}\n",
}


@pytest.mark.parametrize("form", TYPED.values(), ids=TYPED)
async def test_a_code_as_people_type_or_paste_it_is_echoed_plainly(api: Api, form: str) -> None:
    made = await api.create()
    answer = await api.join(form.format(made.code[:3], made.code[3:]))
    assert (answer.status_code, answer.json()["sessionID"]) == (200, made.code)


async def test_a_path_takes_a_code_as_people_type_it(api: Api) -> None:
    made = await api.create()
    for text in (f"{made.code[:3]}-{made.code[3:]}", f"%23{made.code}", f"{made.code[:2]}%20{made.code[2:]}"):
        answer = await api.call("GET", f"/api/session/{text}")
        assert (answer.status_code, answer.json()["sessionID"]) == (200, made.code)
        answer = await api.call("POST", f"/api/session/{text}/movies", token=made.host_token, json=movie("a"))
        assert answer.status_code == 200


async def test_what_is_no_code_never_reaches_redis() -> None:
    async with RedisServer() as redis, served_here(redis.url(), redis_timeout=0.2, **DIGITS) as replica:
        api = Api(replica)
        redis.kill()
        for name, text in NO_CODE.items():
            if name != "huge integer":
                assert (await api.join(text)).status_code == 404
        assert (await api.join("123456")).status_code == 500
        await api.close()


@pytest.mark.parametrize(
    "body",
    [
        '{{"sessionID":"{}","name":"Ada","movies":[1,2],"token":{{}}}}',
        '{{"x":"\\ud800","sessionID":"{}"}}',
        ' \n{{ "sessionID" : "{}" }}\r\n',
        '{{"sessionID":"000000","sessionID":"{}"}}',
        '{{"sessionID":"{}","huge":' + "9" * 5000 + "}}",
    ],
)
async def test_extra_fields_and_spacing_are_ignored(api: Api, body: str) -> None:
    made = await api.create()
    answer = await send(api, body.format(made.code).encode())
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"],
)
async def test_the_content_type_is_not_required(api: Api, content_type: str | None) -> None:
    made = await api.create()
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await send(api, b'{"sessionID":"%s"}' % made.code.encode(), headers=headers)
    assert answer.status_code == 200


async def test_a_trailing_slash_is_served_not_redirected(api: Api) -> None:
    made = await api.create()
    plain, slashed = [await api.call("POST", path, json={"sessionID": made.code}) for path in (PATH, PATH + "/")]
    assert (slashed.status_code, slashed.content) == (200, plain.content)
    missing = await api.call("POST", PATH + "/", content=b"{}")
    assert (missing.status_code, missing.content) == (400, REQUIRED)


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_another_method_is_405_with_allow(api: Api, path: str, method: str) -> None:
    answer = await api.call(method, path)
    assert (answer.status_code, answer.content) == (405, b'{"message":"Method not allowed"}')
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert answer.headers["X-Error-Code"] == "method-not-allowed"


async def test_head_is_405_without_a_body(api: Api) -> None:
    answer = await api.call("HEAD", PATH)
    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["Allow"] == "OPTIONS, POST"


async def test_options_is_204_without_a_body(api: Api) -> None:
    answer = await api.call("OPTIONS", PATH)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert "Content-Type" not in answer.headers


async def test_a_body_over_the_limit_is_413(api: Api) -> None:
    made = await api.create()
    body = b'{"sessionID":"%s","pad":"' % made.code.encode()
    fits, large = (body + b"x" * (size - len(body) - 2) + b'"}' for size in (16_384, 16_385))
    assert (await send(api, fits)).status_code == 200
    answer = await send(api, large)
    assert (answer.status_code, answer.content) == (413, TOO_LARGE)
    assert answer.headers["X-Error-Code"] == "payload-too-large"


async def test_codes_and_sessions_are_found_by_every_replica() -> None:
    async with RedisServer() as redis, served_here(redis.url(), 3, **DIGITS) as replicas:
        api = Api(replicas)
        made = await api.create(replica=0)
        answers = [await api.join(made.code, replica=replica) for replica in range(3)]
        await api.close()
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.content for answer in answers] == [answers[0].content] * 3


async def test_200_joins_at_once_on_one_replica_are_all_served() -> None:
    # The clients share the replica's event loop, in which a reply of Redis waits while they send.
    async with RedisServer() as redis, served_here(redis.url(), redis_timeout=30, **DIGITS) as replica:
        api = Api(replica)
        made = await api.create()
        answers = await asyncio.gather(*(api.join(made.code) for _ in range(200)))
        await api.close()
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
