"""A session with a passcode: who is asked for it, who is not, and what a stranger may see."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.keys import KEYS
from tests.harness.people import Api, Made, People, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSCODE: Final = "Tannhäuser Gate"
REQUIRED: Final = {"code": "passcode-required", "message": "A passcode is required"}
WRONG: Final = {"code": "passcode-wrong", "message": "Wrong passcode"}


async def refused(people: People, made: Made, options: dict[str, Any] | None, error: dict[str, str]) -> None:
    client = await people.connect()
    ack = await client.emit("join-session", made.code, *([] if options is None else [options]), ack=True)
    assert ack == {"ok": False, **error}
    assert (await client.next("error")).data == error
    assert client.named("joined-session") == client.named("session-update") == []


@pytest.mark.parametrize("by", ["create", "PATCH", "update-session"])
async def test_newcomers_need_the_passcode(api: Api, people: People, by: str) -> None:
    given: dict[str, Any] = {"passcode": PASSCODE} if by == "create" else {}
    made = await api.create(**given)
    host = await people.join(made.code, token=made.host_token, name="Host")
    if by == "PATCH":
        answer = await api.call("PATCH", made.path, token=made.host_token, json={"passcode": PASSCODE})
        assert answer.status_code == 200
    elif by == "update-session":
        assert (await host.do("update-session", passcode=PASSCODE))["ok"]
    for options in (None, {"name": "Ada"}, {"passcode": None}, {"passcode": ""}, {"observe": True}):
        await refused(people, made, options, REQUIRED)
    for passcode in ("Tannhäuser gate", "x", PASSCODE + "s"):
        await refused(people, made, {"passcode": passcode}, WRONG)
    client = await people.connect(replica=1)
    # As another keyboard types it, and with the space that some put after a word.
    typed = PASSCODE.replace("ä", "a\u0308") + " "
    ack = await client.emit("join-session", {"sessionID": made.code, "name": "Ada", "passcode": typed}, ack=True)
    assert ack["ok"], ack
    screen = await people.connect(replica=2)
    assert (await screen.emit("join-session", made.code, {"observe": True, "passcode": PASSCODE}, ack=True))["ok"]
    assert {"Host", "Ada"} == {each["name"] for each in (await host.at(ack["version"]))["participants"]}


async def test_tokens_and_members_need_no_passcode(api: Api, people: People) -> None:
    made = await api.create()
    guest = await people.join(made.code, name="Ada")
    left = await people.join(made.code, name="Bob")
    await left.do("leave-session")
    await api.call("PATCH", made.path, token=made.host_token, json={"passcode": PASSCODE})
    assert (await guest.client.emit("join-session", made.code, ack=True))["participantID"] == guest.id
    assert (await guest.client.emit("join-session", made.code, {"observe": True}, ack=True))["ok"]
    assert (await guest.client.emit("join-session", made.code, {"observe": True}, ack=True))["ok"]
    for token in (guest.token, left.token, made.host_token):
        assert (await people.join(made.code, token=token)).id
    await refused(
        people,
        made,
        {"token": "nonsense", "passcode": PASSCODE},
        {"code": "unauthorized", "message": "A valid token is required"},
    )
    other = await api.create()
    await refused(
        people,
        made,
        {"token": other.host_token, "passcode": PASSCODE},
        {"code": "unauthorized", "message": "A valid token is required"},
    )


async def test_null_takes_the_passcode_away(api: Api, people: People) -> None:
    made = await api.create(passcode=PASSCODE)
    kept = await api.call("PATCH", made.path, token=made.host_token, json={"title": "Friday"})
    assert kept.status_code == 200
    await refused(people, made, None, REQUIRED)
    removed = await api.call("PATCH", made.path, token=made.host_token, json={"passcode": None})
    assert removed.status_code == 200
    assert (await people.join(made.code)).id
    client = await people.connect()
    assert (await client.emit("join-session", made.code, {"passcode": "whatever"}, ack=True))["ok"]
    assert (await api.call("GET", made.path)).status_code == 200


@pytest.mark.parametrize("passcode", ["12345", "      7", "x" * 65, 123456, "abc\0def", ""])
async def test_a_passcode_has_6_to_64_characters(api: Api, people: People, passcode: Any) -> None:
    made = await api.create()
    for method, path in (("POST", "/api/session/create"), ("PATCH", made.path)):
        answer = await api.call(method, path, token=made.host_token, json={"passcode": passcode})
        assert (answer.status_code, answer.json()["field"]) == (400, "passcode")
        assert answer.json()["message"].startswith("Passcode must ")
    host = await people.join(made.code, token=made.host_token)
    assert (await host.do("update-session", passcode=passcode))["field"] == "passcode"


async def test_only_the_host_sets_it(api: Api, people: People) -> None:
    made = await api.create()
    await people.join(made.code, token=made.host_token)
    guest = await people.join(made.code)
    assert (await guest.do("update-session", passcode=PASSCODE))["code"] == "forbidden"
    answer = await api.call("PATCH", made.path, token=guest.token, json={"passcode": PASSCODE})
    assert answer.status_code == 403


async def test_strangers_see_that_the_session_exists_and_nothing_else(api: Api, people: People) -> None:
    made = await api.create(passcode=PASSCODE, movies=[movie("m1")], title="Friday")
    host = await people.join(made.code, token=made.host_token, name="Host")
    guest = await people.join(made.code, token=host.token)
    found = await api.join(made.code)
    assert found.json() == {
        "sessionID": made.code,
        "message": "Session found. You can now connect via WebSocket.",
        "sessionData": {"createdAt": made.data["createdAt"], "movies": [], "participants": []},
    }
    seen = await api.call("GET", made.path, token=guest.token)
    assert (seen.status_code, len(seen.json()["sessionData"]["movies"])) == (200, 1)
    by_host = await api.call("GET", made.path, token=made.host_token)
    assert by_host.json()["sessionData"] == seen.json()["sessionData"]
    etag = {"If-None-Match": seen.headers["ETag"]}
    assert (await api.call("GET", made.path, token=guest.token, headers=etag)).status_code == 304
    other = await api.create()
    for headers in ({}, etag):
        for token, code in (
            (None, "passcode-required"),
            ("nonsense", "unauthorized"),
            (other.host_token, "unauthorized"),
        ):
            answer = await api.call("GET", made.path, token=token, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert (await api.call("GET", other.path)).status_code == 200


async def test_the_result_is_for_those_in_the_session(api: Api, people: People) -> None:
    made = await api.create(passcode=PASSCODE, movies=[movie("m1")])
    guest = await people.join(made.code, token=made.host_token)
    path = f"{made.path}/result"
    for token, status in ((None, 401), ("nonsense", 401), (guest.token, 409)):
        assert (await api.call("GET", path, token=token)).status_code == status
    assert (await guest.do("decide", movieID="m1"))["ok"]
    for token, status in ((None, 401), ("nonsense", 401), (guest.token, 200), (made.host_token, 200)):
        assert (await api.call("GET", path, token=token)).status_code == status
    assert (await api.call("GET", path, params={"format": "csv"})).json()["code"] == "passcode-required"


async def test_who_has_been_banned_reads_nothing(api: Api, people: People) -> None:
    made = await api.create()
    guest = await people.join(made.code)
    await people.join(made.code, token=made.host_token)
    await api.call("PATCH", made.path, token=made.host_token, json={"passcode": PASSCODE})
    await api.call("DELETE", f"{made.path}/participants/{guest.id}?ban=true", token=made.host_token)
    assert (await api.call("GET", made.path, token=guest.token)).status_code == 403


async def test_a_session_without_one_is_as_ever(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1")])
    await people.join(made.code, name="Ada")
    found = (await api.join(made.code)).json()
    assert (len(found["sessionData"]["movies"]), len(found["sessionData"]["participants"])) == (1, 1)


@pytest_asyncio.fixture(loop_scope="session")
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as started:
        yield started


@asynccontextmanager
async def replica(redis: RedisServer, **settings: Any) -> AsyncIterator[tuple[Here, Api]]:
    async with served_here(redis.url(), **settings) as (here,):
        api = Api([here])
        try:
            yield here, api
        finally:
            await api.close()


async def join(here: Here, made: Made, options: dict[str, Any] | None = None) -> dict[str, Any]:
    socket = await Socket.open(here.url)
    try:
        return await socket.emit("join-session", made.code, options or {})
    finally:
        await socket.close()


async def test_it_is_in_no_key_and_no_fingerprint(redis: RedisServer) -> None:
    async with replica(redis, secret="a-secret-of-this-deployment-that-is-long") as (here, api):
        key = "a-key-to-create-once"
        body = {"passcode": PASSCODE}
        answer = await api.call("POST", "/api/session/create", key=key, json=body)
        made = Made(answer.json()["sessionID"], answer.json()["hostToken"], {}, {})
        assert (await api.call("POST", "/api/session/create", key=key, json=body)).json() == answer.json()
        other = await api.call("POST", "/api/session/create", key=key, json={"passcode": "another one"})
        assert other.json()["code"] == "idempotency-mismatch"
        changed = await api.call("PATCH", made.path, token=made.host_token, key="k", json=body)
        assert changed.status_code == 200
        assert (await api.call("PATCH", made.path, token=made.host_token, key="k", json=body)).json() == changed.json()
        other = await api.call("PATCH", made.path, token=made.host_token, key="k", json={"passcode": "another one"})
        assert other.json()["code"] == "idempotency-mismatch"
        assert (await join(here, made, {"passcode": PASSCODE}))["ok"]
        assert (await join(here, made, {"passcode": "a wrong one"}))["code"] == "passcode-wrong"
    everything = await contents(redis)
    for form in forms(PASSCODE) | forms("a wrong one"):
        assert form not in everything


async def test_repeats_are_known_after_the_secret_has_changed(redis: RedisServer) -> None:
    one, other = "the-first-secret-of-this-deployment", "the-second-secret-of-this-deployment"
    key, body = "a-key-to-create-once", {"passcode": PASSCODE}
    async with replica(redis, secret=one) as (_, api):
        answer = await api.call("POST", "/api/session/create", key=key, json=body)
        path, token = f"/api/session/{answer.json()['sessionID']}", answer.json()["hostToken"]
        changed = await api.call("PATCH", path, token=token, key="k", json=body)
    async with replica(redis, secret=f"{other},{one}") as (_, api):
        assert (await api.call("PATCH", path, token=token, key="k", json=body)).json() == changed.json()
        again = await api.call("POST", "/api/session/create", key=key, json=body)
        assert again.json()["sessionID"] == answer.json()["sessionID"]
        different = await api.call("PATCH", path, token=token, key="k", json={"passcode": "another one"})
        assert different.status_code == 422


async def test_sixty_people_who_know_it_come_at_once(redis: RedisServer) -> None:
    async with replica(redis, unlimited_addresses="") as (here, api):
        made = await api.create(passcode=PASSCODE)
        acks = await asyncio.gather(*(join(here, made, {"passcode": PASSCODE}) for _ in range(60)))
        assert [ack.get("code", "ok") for ack in acks] == ["ok"] * 60


async def test_a_recovery_needs_no_passcode_and_is_not_limited(redis: RedisServer) -> None:
    async with replica(redis, unlimited_addresses="", grace=60) as (here, api):
        made = await api.create(passcode=PASSCODE)
        socket = await Socket.open(here.url)
        ack = await socket.emit("join-session", made.code, {"passcode": PASSCODE})
        await socket.at_version(ack["version"])
        codes = [(await join(here, made, {"passcode": f"wrong {number}"}))["code"] for number in range(12)]
        assert codes == ["passcode-wrong"] * 10 + ["too-many-requests"] * 2
        refused = await join(here, made, {"passcode": PASSCODE})
        assert (refused["code"], refused["retryable"]) == ("too-many-requests", True)
        assert 0 < refused["retryAfter"] <= 60
        assert (await join(here, made))["code"] == "passcode-required"
        await socket.drop()
        back = await Socket.open(here.url, {"pid": socket.pid, "offset": socket.offset})
        assert back.pid == socket.pid
        assert (await back.emit("join-session", made.code))["participantID"] == ack["participantID"]
        assert (await join(here, made, {"token": ack["token"]}))["ok"]
        assert (await join(here, made, {"token": made.host_token, "passcode": "a wrong one"}))["ok"]
        await back.close()


async def test_concurrent_guesses_do_not_exceed_the_limit(redis: RedisServer) -> None:
    async with served_here(redis.url(), 2, unlimited_addresses="") as replicas:
        api = Api(replicas)
        made = await api.create(passcode=PASSCODE)
        codes: list[str] = []
        # On a busy machine some wait too long for others, which tells them nothing.
        while "too-many-requests" not in codes:
            guesses = [join(replicas[number % 2], made, {"passcode": f"guess {number}"}) for number in range(40)]
            codes += [ack["code"] for ack in await asyncio.gather(*guesses)]
        assert codes.count("passcode-wrong") == 10
        assert set(codes) <= {"passcode-wrong", "too-many-requests", "join-failed"}
        await api.close()


async def test_a_new_passcode_is_asked_for_at_every_replica(redis: RedisServer) -> None:
    async with served_here(redis.url(), 2) as (one, other):
        api = Api([one, other])
        made = await api.create(passcode=PASSCODE)
        for here in (one, other):
            assert (await join(here, made, {"passcode": PASSCODE}))["ok"]
        await api.call("PATCH", made.path, token=made.host_token, json={"passcode": "another one"})
        for here in (one, other):
            assert (await join(here, made, {"passcode": PASSCODE}))["code"] == "passcode-wrong"
            assert (await join(here, made, {"passcode": "another one"}))["ok"]
        await api.close()


async def test_it_is_announced_to_no_replica(redis: RedisServer) -> None:
    async with replica(redis) as (here, api):
        made = await api.create()
        socket = await Socket.open(here.url)
        ack = await socket.emit("join-session", made.code, {"token": made.host_token})
        changed = await socket.emit("update-session", {"passcode": PASSCODE})
        await socket.at_version(changed["version"])
        assert changed["version"] == ack["version"] + 1
        assert "scrypt" not in json.dumps([socket.update, socket.meta, changed])
        stored = await redis.call("HGET", KEYS.session(made.code), "passcode")
        assert stored.startswith(b"scrypt 16384 8 1 ")
        await socket.close()


def forms(secret: str) -> set[str]:
    """How a text could be stored, but for hashes that need the secret."""
    return {secret, json.dumps(secret)[1:-1], hashlib.sha256(secret.encode()).hexdigest()[:24]}


async def contents(redis: RedisServer) -> str:
    found = []
    for key in await redis.call("KEYS", "*"):
        found += [key, await redis.call("DUMP", key)]
        kind = await redis.call("TYPE", key)
        if kind == b"hash":
            found += await redis.call("HGETALL", key)
        elif kind == b"string":
            found.append(await redis.call("GET", key))
    return "\n".join(part.decode(errors="replace") for part in found)
