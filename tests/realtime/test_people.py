"""People: names, tokens, the host, kicking and banning, capacity and locks, second connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.node import NodeClients
from tests.harness.people import Api, People, Person
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.harness.sockets import Socket
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The `service` fixture removes whoever is away for a second.
GRACE = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(node: NodeClients) -> AsyncIterator[dict[str, tuple[Api, People]]]:
    """Deployments by their policy for the second connection of the same person."""
    async with (
        RedisServer() as redis,
        served_here(redis.url(), 2, second_connection="newest") as newest,
        served_here(redis.url(), 2, second_connection="reject") as reject,
    ):
        deployments = {
            "newest": (Api(newest), People(node, newest)),
            "reject": (Api(reject), People(node, reject)),
        }
        yield deployments
        for api, people in deployments.values():
            await people.close()
            await api.close()


async def roles(api: Api, code: str) -> dict[str, str]:
    return {each["id"]: each["role"] for each in (await api.read(code))["sessionData"]["participants"]}


async def test_whoever_leaves_takes_no_recovery_along_that_continues_somebody_else_by_now(
    service: list[Replica], api: Api
) -> None:
    made = await api.create()
    url = service[0].url
    first, second = await Socket.open(url), await Socket.open(url)
    former = await first.emit("join-session", made.code)
    await first.emit("leave-session")
    joined = await first.emit("join-session", made.code)
    assert joined["participantID"] != former["participantID"]
    await second.emit("join-session", made.code, {"token": former["token"]})
    left = await second.emit("leave-session")
    await first.at_version(left["version"])
    await first.drop()
    back = await Socket.open(url, {"pid": first.pid, "offset": first.offset})
    assert back.pid == first.pid
    await back.close()
    await second.close()


async def until_gone(watcher: Person, participant: str) -> dict[str, Any]:
    """The first state that `watcher` sees without a participant."""

    def without(event: Any) -> bool:
        return event.name == "session-update" and participant not in [each["id"] for each in event.data["participants"]]

    seen: dict[str, Any] = (await watcher.client.until(without)).data
    return seen


GOOD_NAMES = {
    "Ada Lovelace": "Ada Lovelace",
    "  trimmed \n"[:-1]: "trimmed",
    "Zoe\u0308": "Zoë",
    "山田 太郎": "山田 太郎",
    "محمد": "محمد",
    "שרה": "שרה",
    "Ольга": "Ольга",
    "กานดา": "กานดา",
    "👩‍👩‍👧‍👦": "👩‍👩‍👧‍👦",
    "x" * 40: "x" * 40,
    "e\u0301" * 40: "é" * 40,
    "O'Neill <b>|&": "O'Neill <b>|&",
    "": "Guest",
    "   ": "Guest",
}
BAD_NAMES = [
    "x" * 41,
    "x" * 10_000,
    "a\u0000b",
    "a\nb",
    "a\u001bb",
    "a\u007fb",
    "a\u0085b",
    "a\u2028b",
    "a\u202eb",
    "a\u2066b",
    "\u200b",
    "\u200d\u200d",
    "\u0301",
]


async def test_names_of_any_script_are_taken_in_nfc_and_trimmed(api: Api, people: People) -> None:
    made = await api.create()
    for given, shown in GOOD_NAMES.items():
        person = await people.join(made.code, name=given)
        data = await person.at(person.ack["version"])
        name = next(each["name"] for each in data["participants"] if each["id"] == person.id)
        assert name.startswith("Guest ") if shown == "Guest" else name == shown


async def test_bad_names_are_refused_not_repaired(api: Api, people: People) -> None:
    made = await api.create()
    client = await people.connect()
    for name in BAD_NAMES:
        ack = await client.emit("join-session", made.code, {"name": name}, ack=True)
        assert (ack["code"], ack["field"]) == ("invalid-payload", "name"), ascii(name)
        assert name not in ack["message"]
    assert (await api.read(made.code))["sessionData"]["participants"] == []


async def test_a_new_name_follows_the_rules_of_joining_and_everybody_sees_it(api: Api, people: People) -> None:
    made = await api.create()
    host, guest = await people.join(made.code, name="Ann"), await people.join(made.code, name="Bob", replica=1)
    before = guest.ack["version"]
    for given, name in {"  Zoe\u0308 ": "Zoë", "Ann": "Ann"}.items():
        ack = await guest.do("rename-participant", name=given)
        before += 1
        assert ack == {"ok": True, "version": before, "now": ack["now"]}
        for person in (host, guest):
            data = await person.at(before)
            assert [each["name"] for each in data["participants"]] == ["Ann", name]
    # The name that one has already is no change.
    assert (await guest.do("rename-participant", name="Ann"))["version"] == before
    wrongs: list[dict[str, Any]] = [{}, {"name": None}, *({"name": name} for name in ("", "  ", *BAD_NAMES))]
    for wrong in wrongs:
        ack = await guest.do("rename-participant", **wrong)
        assert (ack["code"], ack["field"]) == ("invalid-payload", "name"), ascii(wrong)
    assert (await api.read(made.code))["meta"]["version"] == before


async def test_only_oneself_is_renamed_over_http(api: Api, people: People) -> None:
    made = await api.create()
    host = await people.join(made.code, token=made.host_token, name="Ann")
    guest = await people.join(made.code, name="Bob", replica=1)

    async def rename(token: str, whom: str, replica: int = 0) -> tuple[int, str]:
        answer = await api.call(
            "PATCH", f"{made.path}/participants/{whom}", token=token, json={"name": "Cleo"}, replica=replica
        )
        return answer.status_code, answer.headers.get("X-Error-Code", "")

    assert await rename(host.token, guest.id) == (403, "forbidden")
    assert await rename(made.host_token, guest.id) == (403, "forbidden")
    assert await rename(guest.token, host.id) == (403, "forbidden")
    assert await rename(guest.token, "nobody") == (404, "participant-not-found")
    assert (await host.do("rename-participant", participantID=guest.id, name="Cleo"))["code"] == "forbidden"
    assert await rename(guest.token, guest.id, replica=2) == (200, "")
    assert await rename(made.host_token, host.id) == (200, "")
    assert {each["name"] for each in (await api.read(made.code))["sessionData"]["participants"]} == {"Cleo"}


async def test_the_host_token_alone_has_no_name(api: Api, people: People) -> None:
    made = await api.create()
    guest = await people.join(made.code)
    answer = await api.call(
        "PATCH", f"{made.path}/participants/{guest.id}", token=made.host_token, json={"name": "Cleo"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_name_is_kept_on_coming_back_and_given_away_by_joining_with_another(api: Api, people: People) -> None:
    made = await api.create()
    await people.join(made.code)
    person = await people.join(made.code, name="Bob")
    assert (await person.do("rename-participant", name="Cleo", mid="one"))["ok"]
    answer = await api.call(
        "PATCH", f"{made.path}/participants/{person.id}", token=person.token, key="one", json={"name": "Cleo"}
    )
    assert (answer.json()["ok"], answer.json()["version"]) == (True, person.ack["version"] + 1)

    async def back(**options: Any) -> str:
        joined = await people.join(made.code, token=person.token, **options)
        assert joined.id == person.id
        people_there = (await joined.at(joined.ack["version"]))["participants"]
        name: str = next(each["name"] for each in people_there if each["id"] == person.id)
        return name

    await person.client.disconnect()
    assert await back(replica=2) == "Cleo"
    assert await back(replica=1, name="Bob") == "Bob"


async def test_guests_are_numbered_and_no_number_is_given_twice(api: Api, people: People) -> None:
    made = await api.create()
    first = await people.join(made.code)
    await people.join(made.code)
    await first.do("leave-session")
    third = await people.join(made.code)
    names = [each["name"] for each in (await third.at(third.ack["version"]))["participants"]]
    assert names == ["Guest 2", "Guest 3"]


async def test_a_token_resumes_the_participant_on_any_replica_with_its_votes(api: Api, people: People) -> None:
    made = await api.create(movies=[{"id": "a", "title": "A"}])
    await people.join(made.code)
    person = await people.join(made.code, name="Ada")
    await person.do("vote", movieID="a", rating=4)
    await person.client.disconnect()
    back = await people.join(made.code, token=person.token, replica=2)
    assert (back.id, back.token, back.ack["votes"]) == (person.id, person.token, {"a": 4})
    names = [each["name"] for each in (await back.at(back.ack["version"]))["participants"]]
    assert names == ["Guest 1", "Ada"]


async def test_a_dropped_connection_shows_at_once_and_removes_after_the_grace(api: Api, people: People) -> None:
    made = await api.create()
    stays, goes = await people.join(made.code), await people.join(made.code, replica=1)
    await goes.client.disconnect()
    away = await stays.at(goes.ack["version"] + 1)
    assert {each["id"]: each["connected"] for each in away["participants"]} == {stays.id: True, goes.id: False}
    data = await until_gone(stays, goes.id)
    assert [each["id"] for each in data["participants"]] == [stays.id]


async def test_the_same_token_twice_is_one_participant_until_the_last_connection_goes(api: Api, people: People) -> None:
    made = await api.create()
    watcher = await people.join(made.code)
    one = await people.join(made.code)
    two = await people.join(made.code, token=one.token, replica=1)
    assert two.id == one.id
    await one.client.disconnect()
    change = await two.do("update-session", title="x")
    assert change["code"] == "forbidden"
    renamed = await watcher.do("update-session", title="still two")
    data = await watcher.at(renamed["version"])
    assert [each["connected"] for each in data["participants"]] == [True, True]
    ack = await two.do("leave-session")
    assert [each["id"] for each in (await watcher.at(ack["version"]))["participants"]] == [watcher.id]


async def test_the_newest_connection_replaces_the_older_one_where_the_policy_says_so(
    strict: dict[str, tuple[Api, People]],
) -> None:
    api, people = strict["newest"]
    made = await api.create()
    one = await people.join(made.code)
    two = await people.join(made.code, token=one.token, replica=1)
    assert await one.ended() == {"sessionID": made.code, "reason": "replaced"}
    assert (await two.do("update-session", title="mine"))["ok"]
    assert (await one.do("update-session", title="mine"))["code"] == "not-joined"
    assert two.client.named("session-ended") == []
    assert len((await api.read(made.code))["sessionData"]["participants"]) == 1


async def test_a_second_connection_is_refused_where_the_policy_says_so(
    strict: dict[str, tuple[Api, People]],
) -> None:
    api, people = strict["reject"]
    made = await api.create()
    one = await people.join(made.code)
    second = await people.connect(replica=1)
    ack = await second.emit("join-session", made.code, {"token": one.token}, ack=True)
    assert (ack["ok"], ack["code"]) == (False, "limit-reached")
    assert (await one.do("update-session", title="mine"))["ok"]
    await one.client.disconnect()

    async def let_in() -> bool:
        return bool((await second.emit("join-session", made.code, {"token": one.token}, ack=True))["ok"])

    await until(let_in, "the place is free")


@pytest.mark.parametrize("token", ["x", "h.a.1.b", "p." + "a" * 15 + "." + "b" * 15 + "." + "c" * 22])
async def test_a_forged_token_does_not_let_in(api: Api, people: People, token: str) -> None:
    made = await api.create()
    client = await people.connect()
    ack = await client.emit("join-session", made.code, {"token": token}, ack=True)
    assert ack["code"] == "unauthorized"
    answer = await api.call("DELETE", made.path, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_token_is_good_for_its_session_only(api: Api, people: People) -> None:
    one, other = await api.create(), await api.create()
    person = await people.join(one.code)
    client = await people.connect()
    for token in (person.token, one.host_token):
        assert (await client.emit("join-session", other.code, {"token": token}, ack=True))["code"] == "unauthorized"


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer  ", "bearer {}x", "{}", "Bearer {} {}"])
async def test_a_malformed_authorization_is_401(api: Api, header: str) -> None:
    made = await api.create()
    given = header.format(made.host_token, made.host_token).strip()
    answer = await api.call("PATCH", made.path, headers={"Authorization": given}, json={"locked": True})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_scheme_of_an_authorization_is_not_case_sensitive(api: Api) -> None:
    made = await api.create()
    answer = await api.call(
        "PATCH", made.path, headers={"Authorization": f"bEARER   {made.host_token}"}, json={"locked": True}
    )
    assert answer.status_code == 200


async def test_the_first_to_join_is_host_until_the_host_token_comes(api: Api, people: People) -> None:
    made = await api.create()
    first = await people.join(made.code)
    assert await roles(api, made.code) == {first.id: "host"}
    owner = await people.join(made.code, token=made.host_token, replica=1)
    assert await roles(api, made.code) == {first.id: "member", owner.id: "host"}


async def test_who_is_in_becomes_host_by_the_token_without_losing_anything(api: Api, people: People) -> None:
    made = await api.create(capacity=2, movies=[{"id": "a", "title": "A"}])
    await people.join(made.code)
    person = await people.join(made.code, name="Ada")
    await person.do("vote", movieID="a", rating=5)
    ack = await person.client.emit("join-session", made.code, {"token": made.host_token}, ack=True)
    assert (ack["ok"], ack.get("participantID"), ack.get("votes")) == (True, person.id, {"a": 5})
    assert (await roles(api, made.code))[person.id] == "host"


async def test_the_host_token_resumes_its_participant_and_the_role(api: Api, people: People) -> None:
    made = await api.create()
    owner = await people.join(made.code, token=made.host_token, name="Ada")
    await people.join(made.code)
    await owner.client.disconnect()
    back = await people.join(made.code, token=made.host_token, replica=2)
    assert back.id == owner.id
    assert (await roles(api, made.code))[owner.id] == "host"


async def test_the_longest_present_is_promoted_when_the_host_leaves(api: Api, people: People) -> None:
    made = await api.create()
    host, second, third = [await people.join(made.code) for _ in range(3)]
    ack = await host.do("leave-session")
    data = await third.at(ack["version"])
    assert {each["id"]: each["role"] for each in data["participants"]} == {second.id: "host", third.id: "member"}


async def test_the_longest_present_is_promoted_after_the_hosts_grace_not_before(api: Api, people: People) -> None:
    made = await api.create()
    host, second, third = [await people.join(made.code) for _ in range(3)]
    await host.client.disconnect()
    data = await until_gone(third, host.id)
    assert {each["id"]: each["role"] for each in data["participants"]} == {second.id: "host", third.id: "member"}
    for event in third.client.named("session-update"):
        assert [each["role"] for each in event.data["participants"]].count("host") == 1
        by_id = {each["id"]: each["role"] for each in event.data["participants"]}
        assert by_id.get(host.id, "host") == "host"


async def test_handing_over_makes_one_host_and_voids_the_host_token(api: Api, people: People) -> None:
    made = await api.create()
    owner = await people.join(made.code, token=made.host_token)
    heir = await people.join(made.code, replica=1)
    ack = await owner.do("transfer-host", participantID=heir.id)
    assert ack["ok"]
    data = await heir.at(ack["version"])
    assert {each["id"]: each["role"] for each in data["participants"]} == {owner.id: "member", heir.id: "host"}
    answer = await api.call("PATCH", made.path, token=made.host_token, json={"locked": True}, replica=2)
    assert answer.status_code == 401
    client = await people.connect()
    ack = await client.emit("join-session", made.code, {"token": made.host_token}, ack=True)
    assert ack["code"] == "unauthorized"
    assert (await heir.do("update-session", locked=True))["ok"]
    assert (await owner.do("update-session", locked=False))["code"] == "forbidden"


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_the_kicked_hear_it_once_and_may_come_back(api: Api, people: People, transport: str) -> None:
    made = await api.create()
    host, guest = await people.join(made.code), await people.join(made.code, replica=1)
    if transport == "http":
        path = f"{made.path}/participants/{guest.id}"
        assert (await api.call("DELETE", path, token=host.token, replica=2)).status_code == 200
    else:
        assert (await host.do("kick-participant", participantID=guest.id))["ok"]
    assert await guest.ended() == {"sessionID": made.code, "reason": "kicked"}
    assert (await guest.client.next("error")).data["message"] == "Session not found or has expired"
    assert (await guest.do("update-session", title="x"))["code"] == "not-joined"
    back = await guest.client.emit("join-session", made.code, {"token": guest.token}, ack=True)
    assert (back["ok"], back["participantID"]) == (True, guest.id)
    assert len(guest.client.named("session-ended")) == 1


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_the_banned_may_not_come_back_with_their_token(api: Api, people: People, transport: str) -> None:
    made = await api.create()
    host, guest = await people.join(made.code), await people.join(made.code, replica=1)
    if transport == "http":
        path = f"{made.path}/participants/{guest.id}?ban=true"
        assert (await api.call("DELETE", path, token=host.token)).status_code == 200
    else:
        assert (await host.do("kick-participant", participantID=guest.id, ban=True))["ok"]
    assert (await guest.ended())["reason"] == "kicked"
    back = await guest.client.emit("join-session", made.code, {"token": guest.token}, ack=True)
    assert back["code"] == "forbidden"
    answer = await api.call("POST", f"{made.path}/movies", token=guest.token, json={"id": "a", "title": "A"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_host_cannot_be_kicked(api: Api, people: People) -> None:
    made = await api.create()
    host = await people.join(made.code)
    assert (await host.do("kick-participant", participantID=host.id))["code"] == "forbidden"
    answer = await api.call("DELETE", f"{made.path}/participants/{host.id}?ban=true", token=made.host_token)
    assert answer.status_code == 403
    bad = await api.call("DELETE", f"{made.path}/participants/{host.id}?ban=perhaps", token=made.host_token)
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid-payload")


async def test_one_removes_oneself_over_http_with_all_connections(api: Api, people: People) -> None:
    made = await api.create()
    watcher = await people.join(made.code)
    one = await people.join(made.code)
    two = await people.join(made.code, token=one.token, replica=1)
    answer = await api.call("DELETE", f"{made.path}/participants/{one.id}", token=one.token)
    assert answer.status_code == 200
    data = await watcher.at(answer.json()["version"])
    assert [each["id"] for each in data["participants"]] == [watcher.id]
    for person in (one, two):
        assert (await person.ended())["sessionID"] == made.code
    again = await api.call("DELETE", f"{made.path}/participants/{one.id}", token=one.token)
    assert (again.status_code, again.json()["code"]) == (409, "not-joined")


async def test_a_full_session_lets_nobody_in_until_somebody_leaves(api: Api, people: People) -> None:
    made = await api.create(capacity=2)
    host, guest = await people.join(made.code), await people.join(made.code)
    client = await people.connect(replica=1)
    ack = await client.emit("join-session", made.code, ack=True)
    assert ack == {"ok": False, "code": "session-full", "message": "Session is full"}
    assert (await client.next("error")).data == {"message": "Session is full", "code": "session-full"}
    again = await guest.client.emit("join-session", made.code, ack=True)
    assert again["ok"]
    await guest.do("leave-session")
    assert (await client.emit("join-session", made.code, ack=True))["ok"]
    await host.do("update-session", capacity=3)
    assert (await people.join(made.code)).ack["ok"]


async def test_a_locked_session_lets_in_only_who_was_there_and_the_host_token(api: Api, people: People) -> None:
    made = await api.create()
    guest = await people.join(made.code)
    locked = await api.call("PATCH", made.path, token=made.host_token, json={"locked": True})
    assert locked.status_code == 200
    client = await people.connect(replica=1)
    ack = await client.emit("join-session", made.code, ack=True)
    assert ack == {"ok": False, "code": "session-locked", "message": "Session is locked"}
    await guest.client.disconnect()
    assert (await people.join(made.code, token=guest.token)).id == guest.id
    assert (await people.join(made.code, token=made.host_token)).ack["ok"]
    await api.call("PATCH", made.path, token=made.host_token, json={"locked": False})
    assert (await client.emit("join-session", made.code, ack=True))["ok"]
