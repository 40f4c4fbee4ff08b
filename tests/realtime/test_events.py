"""The events of joining and leaving, the `error` event, and acks for whatever is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.harness.here import served_here
from tests.harness.node import NodeClients
from tests.harness.people import TRANSPORTS, Api, People, movie
from tests.harness.redis import RedisServer
from tests.harness.service import DIGITS, UNKNOWN

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_FOUND = {"message": "Session not found or has expired", "code": "session-not-found"}
REQUIRED = {"message": "sessionID is required", "code": "session-id-required"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_joining_answers_joined_session_then_the_state_as_joined(
    api: Api, people: People, transport: str
) -> None:
    made = await api.create()
    client = await people.connect(transport=transport)
    ack = await client.emit("join-session", made.code, ack=True)
    update = await client.next("session-update")
    assert [event.name for event in client.events if event.name.find("session") >= 0][:2] == [
        "joined-session",
        "session-update",
    ]
    assert client.named("joined-session")[0].args == [{"sessionID": made.code}]
    assert set(ack) == {"ok", "version", "now", "sessionID", "participantID", "token", "votes"}
    assert (ack["ok"], ack["sessionID"], ack["votes"]) == (True, made.code, {})
    data, meta, offset = update.args
    assert list(data) == ["createdAt", "movies", "participants"]
    assert set(meta) == {
        *("sessionID", "epoch", "version", "title", "locked", "capacity", "expiresAt", "people"),
        *("observers", "phase", "decision", "decideAt", "decideWhen", "reveal", "now"),
    }
    assert meta["version"] == ack["version"]
    assert offset == f"{meta['epoch']}-{meta['version']}"
    (participant,) = data["participants"]
    assert set(participant) == {"id", "name", "role", "connected", "joinedAt", "rated"}
    assert participant["id"] == ack["participantID"]
    assert (participant["name"], participant["role"], participant["connected"]) == ("Guest 1", "host", True)


async def test_only_the_joiner_hears_joined_session_and_everybody_the_update(api: Api, people: People) -> None:
    made = await api.create()
    first = await people.join(made.code)
    second = await people.join(made.code, replica=1)
    for person in (first, second):
        data = await person.at(second.ack["version"])
        assert [each["id"] for each in data["participants"]] == [first.id, second.id]
    assert len(first.client.named("joined-session")) == 1


async def test_events_buffered_before_the_connection_are_handled_in_order(api: Api, people: People) -> None:
    made = await api.create()
    client = await people.connect(wait=False)
    for number in range(20):
        if number == 0:
            await client.emit("join-session", made.code)
        await client.emit("add-movie", movie(f"m{number}"))
    seen = await client.until(lambda event: event.name == "session-update" and len(event.data["movies"]) == 20)
    assert [each["id"] for each in seen.data["movies"]] == [f"m{number}" for number in range(20)]
    assert client.named("error") == []


@pytest.mark.parametrize("form", ["string", "options", "object", "object with both"])
async def test_every_form_of_join_session_is_accepted(api: Api, people: People, form: str) -> None:
    made = await api.create()
    arguments: dict[str, list[Any]] = {
        "string": [f" {made.code} "],
        "options": [made.code, {"name": "Ada"}],
        "object": [{"sessionID": made.code, "name": "Ada"}],
        "object with both": [{"sessionID": made.code, "name": "Ada"}, None],
    }
    client = await people.connect()
    ack = await client.emit("join-session", *arguments[form], ack=True)
    assert ack["ok"], ack
    assert ack["sessionID"] == made.code
    name = (await client.next("session-update")).data["participants"][0]["name"]
    assert name == ("Guest 1" if form == "string" else "Ada")


@pytest.mark.parametrize("form", ["{0} {1}", "{0}-{1}", "#{0}{1}", "http://[::1]/#{0}{1}", "movies.example/#{0}{1}/tv"])
async def test_joining_takes_a_code_as_people_type_or_paste_it(api: Api, people: People, form: str) -> None:
    made = await api.create()
    client = await people.connect()
    ack = await client.emit("join-session", form.format(made.code[:3], made.code[3:]), ack=True)
    assert (ack["ok"], ack["sessionID"]) == (True, made.code)
    assert (await client.next("joined-session")).data == {"sessionID": made.code}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None],
        [""],
        ["  "],
        [0],
        [True],
        [1.5],
        [[]],
        [["123456"]],
        [{}],
        [{"sessionID": None}],
        [{"sessionid": "1"}],
    ],
    ids=str,
)
async def test_joining_without_session_id_is_an_error_with_the_http_text(people: People, arguments: list[Any]) -> None:
    client = await people.connect()
    ack = await client.emit("join-session", *arguments, ack=True)
    assert ack == {"ok": False, **REQUIRED}
    assert (await client.next("error")).args == [REQUIRED]
    assert client.connected


@pytest.mark.parametrize(
    "session_id", [UNKNOWN, "12345", "abcdef", "1" * 5000, 12345, -1, "١٢٣٤٥٦", "12345\0", "#", "##123456"], ids=repr
)
async def test_joining_what_is_not_there_is_an_error_with_the_http_text(people: People, session_id: Any) -> None:
    client = await people.connect()
    ack = await client.emit("join-session", session_id, ack=True)
    assert ack == {"ok": False, **NOT_FOUND}
    assert (await client.next("error")).args == [NOT_FOUND]
    assert client.named("joined-session") == client.named("session-update") == []
    assert client.connected


async def test_what_is_wrong_with_a_payload_is_a_sentence_and_a_field(api: Api, people: People) -> None:
    made = await api.create(movies=[movie("m1")])
    host = await people.join(made.code, token=made.host_token)
    for event, payload, message, field in (
        ("add-movie", {"movies": [movie("a", year=1700)]}, "Year must be 1850 or later", "movies.0.year"),
        ("update-session", {"ttlSeconds": 100_000}, "Lifetime must be 86400 seconds or less", "ttlSeconds"),
        ("vote", {"movieID": "m1", "rating": 9}, "Rating must be 5 or less", "rating"),
    ):
        refused = {"message": message, "code": "invalid-payload", "field": field}
        assert await host.do(event, **payload) == {"ok": False, **refused}
        await host.client.emit(event, payload)
        assert (await host.client.next("error")).data == refused
    ack = await host.client.emit("join-session", made.code, {"name": "x" * 41}, ack=True)
    refused = {"message": "Name must be at most 40 characters", "code": "invalid-payload", "field": "name"}
    assert ack == {"ok": False, **refused}
    assert (await host.client.next("error")).data == refused


async def test_the_error_of_joining_comes_with_and_without_an_ack_the_others_only_without(people: People) -> None:
    client = await people.connect()
    await client.emit("join-session", UNKNOWN)
    await client.emit("join-session", UNKNOWN, ack=True)
    await client.emit("vote", {"movieID": "a", "rating": 5}, ack=True)
    await client.emit("vote", {"movieID": "a", "rating": 6})
    await client.emit("vote", {"movieID": "a", "rating": 5})
    await client.emit("no-such-event")
    await client.until(lambda event: event.name == "error" and event.data["code"] == "unknown-event")
    codes = [event.data["code"] for event in client.named("error")]
    assert codes == ["session-not-found", "session-not-found", "invalid-payload", "not-joined", "unknown-event"]


async def test_a_joined_integer_is_echoed_as_a_string(node: NodeClients) -> None:
    async with RedisServer() as redis, served_here(redis.url(), **DIGITS) as started:
        api = Api(started)
        made = await api.create()
        while made.code.startswith("0"):
            made = await api.create()
        await api.close()
        client = await node.connect(started[0].url)
        ack = await client.emit("join-session", int(made.code), ack=True)
        assert ack["sessionID"] == made.code
        assert (await client.next("joined-session")).data == {"sessionID": made.code}
        await client.close()


BAD: list[tuple[str, list[Any], str]] = [
    ("no-such-event", [], "unknown-event"),
    ("Join-Session", ["123456"], "unknown-event"),
    ("", [], "unknown-event"),
    ("__proto__", [{}], "unknown-event"),
    ("session-update", [{}], "unknown-event"),
    ("add-movie", [], "invalid-payload"),
    ("add-movie", [None], "invalid-payload"),
    ("add-movie", ["a"], "invalid-payload"),
    ("add-movie", [[]], "invalid-payload"),
    ("add-movie", [{"movies": []}], "invalid-payload"),
    ("add-movie", [{"movies": [{"id": "a"}]}], "invalid-payload"),
    ("remove-movie", [], "invalid-payload"),
    ("remove-movie", ["a"], "invalid-payload"),
    ("vote", [], "invalid-payload"),
    ("vote", [{}], "invalid-payload"),
    ("vote", [{"movieID": "a"}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": 0}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": 6}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": 2.5}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": "5"}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": True}], "invalid-payload"),
    ("vote", [{"movieID": 5, "rating": 5}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": 5, "mid": ""}], "invalid-payload"),
    ("vote", [{"movieID": "a", "rating": 5, "mid": "x" * 129}], "invalid-payload"),
    ("vote", ["a", 5], "invalid-payload"),
    ("withdraw-vote", [{}], "invalid-payload"),
    ("update-session", [], "invalid-payload"),
    ("update-session", [{}], "invalid-payload"),
    ("update-session", [{"capacity": 0}], "invalid-payload"),
    ("update-session", [{"capacity": 1001}], "invalid-payload"),
    ("update-session", [{"locked": "yes"}], "invalid-payload"),
    ("update-session", [{"ttlSeconds": 10**9}], "invalid-payload"),
    ("update-session", [{"title": "x" * 101}], "invalid-payload"),
    ("kick-participant", [{}], "invalid-payload"),
    ("kick-participant", [{"participantID": "a", "ban": "yes"}], "invalid-payload"),
    ("transfer-host", ["a"], "invalid-payload"),
    ("leave-session", ["now"], "invalid-payload"),
    ("end-session", [{"mid": "a b"}], "invalid-payload"),
    ("join-session", ["123456", "Ada"], "invalid-payload"),
    ("join-session", ["123456", {"name": 5}], "invalid-payload"),
    ("join-session", ["123456", {"token": 5}], "invalid-payload"),
    ("join-session", ["123456", {"token": "x" * 257}], "invalid-payload"),
]


async def test_whatever_is_sent_is_acknowledged_and_changes_nothing(api: Api, people: People) -> None:
    made = await api.create()
    host = await people.join(made.code)
    before = await api.read(made.code)
    for event, arguments, code in BAD:
        ack = await host.client.emit(event, *arguments, ack=True)
        assert (ack["ok"], ack["code"]) == (False, code), (event, arguments)
        assert isinstance(ack["message"], str)
        assert "retryable" not in ack
    after = await api.read(made.code)
    assert after["sessionData"] == before["sessionData"]
    assert after["meta"]["version"] == before["meta"]["version"]
    assert host.client.connected


async def test_what_is_unknown_in_a_session_has_a_code_of_its_own(api: Api, people: People) -> None:
    made = await api.create()
    host = await people.join(made.code)
    unknown: list[tuple[str, dict[str, Any], str]] = [
        ("vote", {"movieID": "nothing", "rating": 5}, "movie-not-found"),
        ("withdraw-vote", {"movieID": "nothing"}, "movie-not-found"),
        ("remove-movie", {"movieID": "nothing"}, "movie-not-found"),
        ("kick-participant", {"participantID": "nobody"}, "participant-not-found"),
        ("transfer-host", {"participantID": "nobody"}, "participant-not-found"),
    ]
    for event, payload, code in unknown:
        assert (await host.do(event, **payload))["code"] == code


async def test_extra_arguments_and_fields_are_ignored(api: Api, people: People) -> None:
    made = await api.create()
    host = await people.join(made.code)
    ack = await host.client.emit(
        "add-movie", {**movie("a"), "unknown": 1, "addedBy": "me", "count": 9}, "more", ack=True
    )
    assert ack["ok"]
    (added,) = (await host.at(ack["version"]))["movies"]
    assert (added["addedBy"], added["count"]) == (host.id, 0)
    assert "unknown" not in added


async def test_joining_the_same_session_again_is_idempotent(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code, name="Ada")
    again = [await person.client.emit("join-session", made.code, ack=True) for _ in range(3)]
    assert {(ack["participantID"], ack["token"], ack["version"]) for ack in again} == {
        (person.id, person.token, person.ack["version"])
    }
    assert len(person.client.named("joined-session")) == 4
    ack = await person.do("update-session", title="x")
    await person.at(ack["version"])
    versions = [event.args[1]["version"] for event in person.client.named("session-update")]
    assert versions.count(ack["version"]) == 1
    assert len((await api.read(made.code))["sessionData"]["participants"]) == 1


async def test_joining_again_with_another_name_changes_the_name(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code, name="Ada")
    ack = await person.client.emit("join-session", made.code, {"name": "Grace"}, ack=True)
    assert ack["participantID"] == person.id
    assert [each["name"] for each in (await person.at(ack["version"]))["participants"]] == ["Grace"]


async def test_joining_another_session_moves_the_socket(api: Api, people: People) -> None:
    one, other = await api.create(), await api.create()
    stays = await people.join(one.code)
    moves = await people.join(one.code, replica=1)
    ack = await moves.client.emit("join-session", other.code, ack=True)
    assert ack["ok"]
    left = await stays.client.until(
        lambda event: event.name == "session-update" and event.args[1]["version"] > moves.ack["version"]
    )
    assert [each["id"] for each in left.data["participants"]] == [stays.id]
    quiet = await stays.do("update-session", title="only here")
    await stays.at(quiet["version"])
    moved = await moves.do("add-movie", **movie("there"))
    await moves.client.until(lambda event: event.name == "session-update" and bool(event.data["movies"]))
    assert moved["ok"]
    titles = [event.args[1]["title"] for event in moves.client.named("session-update")]
    assert "only here" not in titles
    assert (await api.read(one.code))["sessionData"]["movies"] == []
    assert moves.client.named("session-ended") == []


@pytest.mark.parametrize("why", ["unknown", "malformed", "locked", "full", "bad token"])
async def test_a_socket_that_fails_to_move_stays_where_it_was(api: Api, people: People, why: str) -> None:
    here = await api.create()
    person = await people.join(here.code)
    there = await api.create(capacity=1)
    if why == "full":
        await people.join(there.code)
    if why == "locked":
        await api.call("PATCH", there.path, token=there.host_token, json={"locked": True})
    target = {"unknown": UNKNOWN, "malformed": "x"}.get(why, there.code)
    options = {"token": "p.a.b.c"} if why == "bad token" else {}
    ack = await person.client.emit("join-session", target, options, ack=True)
    codes = {"locked": "session-locked", "full": "session-full", "bad token": "unauthorized"}
    assert ack["code"] == codes.get(why, "session-not-found")
    assert (await person.client.next("error")).data["code"] == ack["code"]
    change = await person.do("update-session", title="still here")
    assert change["ok"]
    await person.at(change["version"])


async def test_leaving_removes_at_once_and_ends_the_updates(api: Api, people: People) -> None:
    made = await api.create()
    stays, leaves = await people.join(made.code), await people.join(made.code, replica=1)
    ack = await leaves.do("leave-session")
    assert ack["ok"]
    assert [each["id"] for each in (await stays.at(ack["version"]))["participants"]] == [stays.id]
    later = await stays.do("update-session", title="gone")
    await stays.at(later["version"])
    assert (await leaves.do("leave-session"))["code"] == "not-joined"
    assert [
        event for event in leaves.client.named("session-update") if event.args[1]["version"] >= ack["version"]
    ] == []
    assert leaves.client.named("session-ended") == leaves.client.named("error") == []
    back = await leaves.client.emit("join-session", made.code, ack=True)
    assert back["ok"]


async def test_a_socket_that_never_joined_hears_nothing(api: Api, people: People) -> None:
    made = await api.create()
    silent = await people.connect()
    host = await people.join(made.code)
    ack = await host.do("update-session", title="x")
    await host.at(ack["version"])
    await silent.emit("vote", ack=True)
    assert [event.name for event in silent.events] == ["connect"]


async def test_own_events_take_effect_in_the_order_sent(api: Api, people: People) -> None:
    made = await api.create()
    person = await people.join(made.code, transport="default")
    acks = await asyncio.gather(
        *(person.client.emit("add-movie", movie(f"m{number}"), ack=True) for number in range(50)),
        *(person.client.emit("vote", {"movieID": "m49", "rating": 1 + number % 5}, ack=True) for number in range(20)),
        person.client.emit("leave-session", ack=True),
        person.client.emit("vote", {"movieID": "m0", "rating": 5}, ack=True),
    )
    versions = [ack["version"] for ack in acks[:-1]]
    assert versions == sorted(versions)
    assert acks[-1]["code"] == "not-joined"


async def test_a_client_without_the_slash_at_the_end_of_the_path_connects(api: Api, people: People) -> None:
    made = await api.create()
    for transport in TRANSPORTS:
        person = await people.join(made.code, transport=transport, addTrailingSlash=False)
        assert person.ack["ok"]
