"""A session comes to a decision, over both transports and on any replica."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.here import served_here
from tests.harness.people import Api, Made, People, Person, movie
from tests.harness.redis import RedisServer
from tests.harness.sockets import Socket
from tests.harness.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

Ask = Callable[..., Awaitable[dict[str, Any]]]


class Group:
    """A session with a host and a guest at two replicas, and two movies."""

    def __init__(self, api: Api, made: Made, host: Person, guest: Person) -> None:
        self.api = api
        self.made = made
        self.host = host
        self.guest = guest

    async def over_socket(self, event: str, person: Person | None = None, **payload: Any) -> dict[str, Any]:
        return await (person or self.host).do(event, **payload)

    async def over_http(self, event: str, person: Person | None = None, **payload: Any) -> dict[str, Any]:
        path = f"{self.made.path}/decision"
        route, query = {
            "decide": (("POST", path, payload), ""),
            "reopen": (("DELETE", path, None), "&".join(f"{name}={value}" for name, value in payload.items())),
            "update-session": (("PATCH", self.made.path, payload), ""),
            "vote": (("PUT", f"{self.made.path}/movies/{payload.get('movieID')}/vote", payload), ""),
        }[event]
        method, where, body = route
        token = (person or self.host).token
        answer = await self.api.call(method, f"{where}?{query}" if query else where, token=token, replica=1, json=body)
        told: dict[str, Any] = answer.json()
        assert answer.status_code == 200 or answer.headers["X-Error-Code"] == told["code"]
        return told if answer.status_code == 200 else {"ok": False, **told}

    async def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = (await self.api.read(self.made.code, replica=1))["meta"]
        return meta

    def told(self, person: Person, event: str) -> list[Any]:
        return [each.args for each in person.client.named(event)]


@pytest_asyncio.fixture(loop_scope="session")
async def group(api: Api, people: People) -> Group:
    made = await api.create(title="Friday", movies=[movie("a", title="Alien", year=1979), movie("b", title="=Brazil")])
    host, guest = await people.join(made.code, name="Ada"), await people.join(made.code, name="Bo", replica=1)
    return Group(api, made, host, guest)


@pytest.fixture(params=["socket", "http"])
def ask(request: pytest.FixtureRequest, group: Group) -> Ask:
    return group.over_socket if request.param == "socket" else group.over_http


async def test_a_decision_is_told_once_to_each_before_the_update_that_shows_it(group: Group, ask: Ask) -> None:
    assert (await ask("vote", group.guest, movieID="b", rating=5))["ok"]
    ack = await ask("decide")
    decision = ack["decision"]
    assert (decision["movieID"], decision["by"], decision["tied"]) == ("b", "ranking", [])
    assert decision["ranking"] == [
        {"movieID": "b", "rank": 1, "compatibility": 100, "score": 100.0, "count": 1, "vetoes": 0},
        {"movieID": "a", "rank": 2, "compatibility": 0, "score": 0.0, "count": 0, "vetoes": 0},
    ]
    for person in (group.host, group.guest):
        await person.at(ack["version"])
        assert group.told(person, "session-decided") == [[{"sessionID": group.made.code, "decision": decision}]]
        order = [each.name for each in person.client.events if each.name in ("session-decided", "session-update")]
        assert order.index("session-decided") < len(order) - 1
        update = next(
            each for each in person.client.events if each.name == "session-update" and each.args[1]["decision"]
        )
        assert update.args[1]["decision"] == decision
    meta = await group.meta()
    assert (meta["phase"], meta["decision"]) == ("decided", decision)


async def test_who_joins_later_reads_it_and_is_not_told(group: Group, people: People) -> None:
    await group.host.do("decide", movieID="a")
    late = await people.join(group.made.code, name="Cy")
    await late.at(late.ack["version"])
    assert group.told(late, "session-decided") == []
    assert late.client.named("session-update")[-1].args[1]["phase"] == "decided"


async def test_refusals_have_their_codes(group: Group, ask: Ask) -> None:
    assert (await ask("decide"))["code"] == "nothing-to-decide"
    assert (await ask("decide", movieID="z"))["code"] == "movie-not-found"
    assert (await ask("decide", group.guest))["code"] == "forbidden"
    assert (await ask("reopen"))["code"] == "not-decided"
    decision = (await ask("decide", movieID="a"))["decision"]
    again = await ask("decide")
    assert (again["code"], again["decision"]) == ("session-decided", decision)
    assert (await ask("vote", group.guest, movieID="b", rating=5))["code"] == "session-decided"
    wrong = await ask("reopen", clear="everything")
    assert (wrong["code"], wrong["field"]) == ("invalid-payload", "clear")
    for seconds in (4.9, "soon", 10**9):
        wrong = await ask("update-session", decideInSeconds=seconds)
        assert (wrong["code"], wrong["field"]) == ("invalid-payload", "decideInSeconds")


async def test_reopening_goes_on(group: Group, ask: Ask) -> None:
    await ask("vote", group.guest, movieID="b", rating=5)
    await ask("decide")
    assert (await ask("reopen"))["ok"]
    meta = await group.meta()
    assert (meta["phase"], meta["decision"], meta["decideWhen"], meta["decideAt"]) == ("voting", None, "host", None)
    again = (await ask("decide"))["decision"]
    assert again["movieID"] == "b"
    assert (await ask("reopen", clear="movies"))["ok"]
    assert (await group.api.read(group.made.code))["sessionData"]["movies"] == []


async def test_the_time_of_the_decision_is_shown_and_can_be_cleared(group: Group, ask: Ask) -> None:
    assert (await ask("update-session", decideInSeconds=600))["ok"]
    meta = await group.meta()
    assert meta["now"] < meta["decideAt"]
    assert (await ask("update-session", decideInSeconds=None))["ok"]
    assert (await group.meta())["decideAt"] is None


async def test_hidden_ratings_are_null_for_everybody_until_the_decision(group: Group, ask: Ask) -> None:
    assert (await ask("update-session", reveal="decided"))["ok"]
    version = (await ask("vote", group.guest, movieID="b", rating=5))["version"]
    hidden = {"count": None, "vetoes": None, "score": None, "compatibility": None, "rank": None}
    seen = [await group.host.at(version), (await group.api.read(group.made.code))["sessionData"]]
    seen.append((await group.api.join(group.made.code)).json()["sessionData"])
    for data in seen:
        assert [{key: each[key] for key in hidden} for each in data["movies"]] == [hidden, hidden]
        assert [person["rated"] for person in data["participants"]] == [0, 1]
    assert (await ask("update-session", reveal="live"))["code"] == "limit-reached"
    data = await group.guest.at((await ask("decide"))["version"])
    assert [(each["rank"], each["compatibility"]) for each in data["movies"]] == [(2, 0), (1, 100)]


async def test_no_update_of_a_live_session_links_a_rating_to_a_person(group: Group) -> None:
    """But for the one by which somebody has rated everything."""
    for person, movie_id, rating in [
        *((group.host, "a", rating) for rating in (5, 1, 3)),
        *((group.guest, "b", rating) for rating in (2, 4)),
        *((group.guest, "a", 5), (group.guest, "a", 1), (group.host, "a", 2)),
    ]:
        voted = await person.do("vote", movieID=movie_id, rating=rating)
        await group.host.at(voted["version"])
    states = [event.data for event in group.host.client.named("session-update") if event.args[1]["people"] == 2]
    completing = []
    for before, after in itertools.pairwise(states):
        assert before["movies"] != after["movies"]
        pairs = zip(before["participants"], after["participants"], strict=True)
        completing += [(one, other) for one, other in pairs if one != other]
    # The guest has rated both, the host one.
    assert [(one["rated"], one | {"rated": 2} == other) for one, other in completing] == [(0, True)]
    assert "own-votes" not in {event.name for event in group.host.client.events}


async def test_all_may_be_set_at_creation(api: Api) -> None:
    made = await api.create(decideInSeconds=60, decideWhen="all-rated", reveal="decided")
    assert made.meta["decideAt"] > made.meta["now"]
    assert (made.meta["decideWhen"], made.meta["reveal"]) == ("all-rated", "decided")


async def test_the_result_is_json_or_a_table(group: Group) -> None:
    path = f"{group.made.path}/result"
    early = await group.api.call("GET", path)
    assert (early.status_code, early.headers["X-Error-Code"]) == (409, "not-decided")
    await group.guest.do("vote", movieID="b", rating=4)
    decided = (await group.host.do("decide"))["decision"]
    answer = await group.api.call("GET", path, replica=1)
    result = answer.json()
    assert answer.headers["ETag"]
    assert {name: result[name] for name in ("sessionID", "title", "movieID", "by", "tied", "people")} == {
        "sessionID": group.made.code,
        "title": "Friday",
        "movieID": "b",
        "by": "ranking",
        "tied": [],
        "people": 2,
    }
    assert result["decidedAt"] == decided["decidedAt"]
    assert result["ranking"][1] == {**decided["ranking"][1], "title": "Alien", "year": 1979}
    tables = [
        await group.api.call("GET", f"{path}?format=csv"),
        await group.api.call("GET", path, headers={"Accept": "text/csv"}),
    ]
    for table in tables:
        assert table.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        assert "attachment" in table.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert rows[0] == {
            "rank": "1",
            "title": "'=Brazil",
            "year": "",
            "compatibility": "75",
            "score": "75.0",
            "count": "1",
            "vetoes": "0",
            "movieID": "b",
        }


async def test_other_sockets_of_a_participant_hear_of_its_ratings(group: Group, people: People) -> None:
    twin = await people.join(group.made.code, token=group.guest.token)
    ack = await group.guest.do("vote", movieID="a", rating=2)
    votes = await twin.client.until(lambda event: event.name == "own-votes")
    assert votes.args == [{"votes": {"a": 2}}]
    await group.guest.at(ack["version"])
    assert group.told(group.guest, "own-votes") == []
    assert group.told(group.host, "own-votes") == []
    await group.over_http("vote", group.guest, movieID="b", rating=5)
    for person in (group.guest, twin):
        await person.client.until(lambda event: event.name == "own-votes" and event.data["votes"] == {"a": 2, "b": 5})
    await group.host.do("decide")
    await group.host.do("reopen", clear="ratings")
    for person in (group.guest, twin, group.host):
        await person.client.until(lambda event: event.name == "own-votes" and event.data["votes"] == {})


async def test_after_a_recovery_whoever_had_not_seen_the_decision_is_told(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), count=2) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie("a")])
        host, guest = [await Socket.open(replica.url) for replica in replicas]
        for socket in (host, guest):
            ack = await socket.emit("join-session", made.code)
            await socket.at_version(ack["version"])
        seen = {"pid": guest.pid, "offset": guest.offset}
        await guest.drop()
        version = (await host.emit("decide", {"movieID": "a"}))["version"]
        back = await Socket.open(replicas[0].url, seen)
        assert (await back.next("session-decided"))["decision"]["movieID"] == "a"
        await back.at_version(version)
        seen = {"pid": back.pid, "offset": back.offset}
        await back.drop()
        version = (await host.emit("update-session", {"title": "x"}))["version"]
        again = await Socket.open(replicas[1].url, seen)
        await again.at_version(version)
        assert again.counts["session-decided"] == 0
        for socket in (host, again):
            await socket.close()
        await api.close()


async def test_nobody_has_to_be_there_when_the_time_comes(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), count=2, grace=0.5) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie("a")], decideInSeconds=5)
        socket = await Socket.open(replicas[0].url)
        assert (await socket.emit("join-session", made.code))["ok"]
        assert (await socket.emit("vote", {"movieID": "a", "rating": 3}))["ok"]
        await socket.close()

        async def decided() -> Any:
            meta = (await api.read(made.code, replica=1))["meta"]
            return meta if meta["phase"] == "decided" else None

        meta = await until(decided, "it is decided", poll=0.1, timeout=15)
        assert meta["decideAt"] is None
        assert made.meta["decideAt"] <= meta["decision"]["decidedAt"]
        await api.close()


async def test_everybody_is_told_when_everybody_has_rated(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url(), count=2, decide_delay=0.3) as replicas:
        api = Api(replicas)
        made = await api.create(movies=[movie("a"), movie("b")], decideWhen="all-rated")
        sockets = [await Socket.open(replica.url) for replica in replicas]
        for socket in sockets:
            assert (await socket.emit("join-session", made.code))["ok"]
        for socket in sockets:
            for name in "ab":
                assert (await socket.emit("vote", {"movieID": name, "rating": 4}))["ok"]
        for socket in sockets:
            decision = (await socket.next("session-decided"))["decision"]
            assert (decision["by"], decision["tied"]) == ("lot", ["a", "b"])
            await socket.close()
        await api.close()
