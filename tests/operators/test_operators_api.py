"""The operators' API of the internal port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.harness.here import Here, served_here
from tests.harness.metrics import scrape
from tests.harness.people import Api, Made, movie, timeless
from tests.harness.privacy import note
from tests.harness.redis import RedisServer
from tests.harness.service import replicas
from tests.harness.sockets import open_sockets

TOKEN: Final = "the-operators-own-token"
SETTINGS: Final[dict[str, Any]] = {"operator_token": TOKEN, "drain_timeout": 10, "lifetime": 600}


class Desk:
    """An operator of some replicas, and the API that their users have."""

    def __init__(self, redis: RedisServer, replicas: list[Here]) -> None:
        self.redis = redis
        self.replicas = replicas
        self.api = Api(replicas)
        self._clients = [
            httpx.AsyncClient(base_url=f"{replica.internal_url}/operator", trust_env=False, timeout=10)
            for replica in replicas
        ]

    async def call(
        self, method: str, path: str, *, replica: int = 0, token: str | None = TOKEN, **options: Any
    ) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self._clients[replica].request(method, path, headers=headers, **options)

    async def asked(self, path: str, **options: Any) -> Any:
        answer = await self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        note(answer.json())
        return answer.json()

    async def listed(self, limit: int) -> list[str]:
        """The codes on all pages, each of which another replica is asked for."""
        codes: list[str] = []
        cursor: dict[str, str] = {}
        for number in range(100):
            page = await self.asked("/sessions", replica=number % 2, params={"limit": limit, **cursor})
            assert len(page["sessions"]) <= limit
            codes += [session["sessionID"] for session in page["sessions"]]
            if page["next"] is None:
                return codes
            cursor = {"cursor": page["next"]}
        raise AssertionError("the list has no end")

    async def close(self) -> None:
        await self.api.close()
        for client in self._clients:
            await client.aclose()


@pytest_asyncio.fixture
async def desk(redis_server: RedisServer) -> AsyncIterator[Desk]:
    async with served_here(redis_server.url(), 2, **SETTINGS) as replicas:
        opened = Desk(redis_server, replicas)
        yield opened
        await opened.close()


async def several(desk: Desk, count: int, **body: Any) -> list[Made]:
    made = [await desk.api.create(**body) for _ in range(count)]
    async with asyncio.timeout(10):
        while await desk.redis.call("ZCARD", "js:sessions") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return made


ROUTES: Final = (
    ("GET", "/sessions"),
    ("GET", "/sessions/2222222222"),
    ("DELETE", "/sessions/2222222222"),
    ("DELETE", "/sessions/2222222222/participants/a"),
    ("GET", "/replicas"),
    ("POST", "/drain"),
    ("GET", "/limits"),
    ("DELETE", "/limits/192.0.2.1"),
)


async def test_without_the_token_nothing_is_told_or_done(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=f"{desk.replicas[0].internal_url}/operator", trust_env=False) as client:
        for method, path in ROUTES:
            for token in (None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", "ungültig"):
                headers = {} if token is None else {b"Authorization": f"Bearer {token}".strip().encode()}
                answer = await client.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await desk.asked("/replicas"))["asked"]["status"] == "ready"


async def test_without_a_token_in_the_settings_there_is_no_such_api(redis_server: RedisServer) -> None:
    async with served_here(redis_server.url()) as [replica], httpx.AsyncClient(trust_env=False) as client:
        for method, path in ROUTES:
            answer = await client.request(
                method, f"{replica.internal_url}/operator{path}", headers={"Authorization": "Bearer"}
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_nothing_of_it_is_on_the_public_port(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=desk.replicas[0].url, trust_env=False) as client:
        for method, path in ROUTES:
            answer = await client.request(method, f"/operator{path}", headers={"Authorization": f"Bearer {TOKEN}"})
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_sessions_are_listed_with_what_is_in_them_the_first_to_expire_in_front(desk: Desk) -> None:
    [late, early] = [(await several(desk, 1, title="Friday", ttlSeconds=ttl))[0] for ttl in (500, 400)]
    await desk.api.call("POST", f"{late.path}/movies", token=late.host_token, json=movie("m1"))
    await desk.api.call("PATCH", late.path, token=late.host_token, json={"locked": True})
    async with open_sockets([desk.replicas[1].url], 2) as people:
        for socket in people:
            assert (await socket.emit("join-session", early.code))["ok"]
        page = await desk.asked("/sessions")
    assert page["next"] is None
    read = [await desk.api.read(made.code) for made in (early, late)]
    assert page["sessions"] == [
        {
            "sessionID": made.code,
            "title": "Friday",
            "locked": made is late,
            "participants": 2 if made is early else 0,
            "movies": 1 if made is late else 0,
            "version": page["sessions"][number]["version"],
            "createdAt": made.data["createdAt"],
            "expiresAt": page["sessions"][number]["expiresAt"],
        }
        for number, made in enumerate((early, late))
    ]
    assert page["sessions"][1]["version"] == read[1]["meta"]["version"]
    assert page["sessions"][1]["expiresAt"] == read[1]["meta"]["expiresAt"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
async def test_pages_have_everybody_once_also_those_of_one_millisecond(desk: Desk, limit: int) -> None:
    made = await several(desk, 7)
    expiry = int(await desk.redis.call("ZSCORE", "js:sessions", made[3].code))
    for each in made[1:6]:
        await desk.redis.call("ZADD", "js:sessions", expiry, each.code)
    codes = await desk.listed(limit)
    assert sorted(codes) == sorted(each.code for each in made)
    assert len(set(codes)) == 7


async def test_who_lives_on_is_not_missed_when_others_come_go_and_are_prolonged(desk: Desk) -> None:
    made = await several(desk, 6)
    first = await desk.asked("/sessions", params={"limit": 3})
    seen = [session["sessionID"] for session in first["sessions"]]
    by_code = {each.code: each for each in made}
    await desk.api.call("DELETE", by_code[seen[2]].path, token=by_code[seen[2]].host_token)
    await desk.api.call("PATCH", by_code[seen[1]].path, token=by_code[seen[1]].host_token, json={"ttlSeconds": 3000})
    new = await desk.api.create()
    rest = await desk.asked("/sessions", params={"cursor": first["next"], "limit": 500})
    behind = {session["sessionID"] for session in rest["sessions"]}
    assert by_code.keys() - set(seen) <= behind
    assert behind <= {*by_code, new.code} - {seen[2]}


async def test_sessions_that_have_ended_are_not_listed(desk: Desk) -> None:
    made = await several(desk, 3)
    await desk.redis.call("DEL", f"js:{{{made[1].code}}}")
    assert sorted(await desk.listed(50)) == sorted([made[0].code, made[2].code])


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "٣"},
        {"limit": ""},
        {"cursor": ""},
        {"cursor": "x"},
        {"cursor": "1-"},
        {"cursor": "1-{}*"},
        {"cursor": "9" * 400 + "-A"},
    ],
    ids=str,
)
async def test_a_bad_page_is_refused(desk: Desk, params: dict[str, str]) -> None:
    answer = await desk.call("GET", "/sessions", params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")


async def test_a_session_is_shown_as_its_members_see_it(desk: Desk) -> None:
    [made] = await several(desk, 1, movies=[movie("m1")])
    shown = await desk.asked(f"/sessions/{made.code.lower()}")
    assert timeless(shown) == timeless(await desk.api.read(made.code))
    for code in ("2222222222", "x"):
        answer = await desk.call("GET", f"/sessions/{code}")
        assert (answer.status_code, answer.json()["code"]) == (404, "session-not-found")


async def test_ending_a_session_tells_everybody(desk: Desk) -> None:
    [made] = await several(desk, 1)
    async with open_sockets([replica.url for replica in desk.replicas], 2) as people:
        for socket in people:
            await socket.emit("join-session", made.code)
        answer = await desk.call("DELETE", f"/sessions/{made.code}")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
        for socket in people:
            assert (await socket.next("session-ended"))["reason"] == "ended"
    assert (await desk.api.join(made.code)).status_code == 404
    assert (await desk.call("DELETE", f"/sessions/{made.code}")).status_code == 404


@pytest.mark.parametrize("ban", [False, True])
async def test_somebody_is_removed_and_told(desk: Desk, ban: bool) -> None:
    [made] = await several(desk, 1)
    async with open_sockets([replica.url for replica in desk.replicas], 2) as (host, guest):
        await host.emit("join-session", made.code, {"token": made.host_token})
        joined = await guest.emit("join-session", made.code, {"name": "Wilhelmina"})
        path = f"/sessions/{made.code}/participants/{joined['participantID']}"
        assert (await desk.call("DELETE", path, params={"ban": str(ban).lower()})).json()["ok"]
        assert (await guest.next("session-ended"))["reason"] == "kicked"
        back = await guest.emit("join-session", made.code, {"token": joined["token"]})
        assert back.get("code") == ("forbidden" if ban else None)
        again = await desk.call("DELETE", f"/sessions/{made.code}/participants/nobody")
        assert (again.status_code, again.json()["code"]) == (404, "participant-not-found")
        bad = await desk.call("DELETE", path, params={"ban": "perhaps"})
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid-payload")


async def test_a_host_who_is_removed_has_a_successor_and_a_void_token(desk: Desk) -> None:
    [made] = await several(desk, 1)
    async with open_sockets([replica.url for replica in desk.replicas], 2) as (host, guest):
        joined = await host.emit("join-session", made.code, {"token": made.host_token})
        heir = await guest.emit("join-session", made.code)
        answer = await desk.call("DELETE", f"/sessions/{made.code}/participants/{joined['participantID']}")
        await guest.at_version(answer.json()["version"])
        assert [(each["id"], each["role"]) for each in guest.update["participants"]] == [
            (heir["participantID"], "host")
        ]
        refused = await desk.api.call("PATCH", made.path, token=made.host_token, json={"title": "Mine"})
        assert refused.status_code == 401


async def test_the_replicas_and_the_one_asked_are_shown(desk: Desk) -> None:
    [made] = await several(desk, 1)
    async with open_sockets([desk.replicas[1].url], 3) as people:
        await people[0].emit("join-session", made.code)
        shown = [await desk.asked("/replicas", replica=number) for number in range(2)]
    assert [each["asked"]["connections"] for each in shown] == [0, 3]
    assert [each["asked"]["sessions"] for each in shown] == [0, 1]
    assert {each["asked"]["status"] for each in shown} == {"ready"}
    assert shown[0]["replicas"] == shown[1]["replicas"]
    assert {each["id"] for each in shown[0]["replicas"]} == {each["asked"]["id"] for each in shown}
    ports = {int(each["address"].rpartition(":")[2]) for each in shown[0]["replicas"]}
    assert ports == {replica.internal_port for replica in desk.replicas}


async def test_a_replica_drains_and_goes_on_answering(desk: Desk) -> None:
    [made] = await several(desk, 1)
    leaving, staying = desk.replicas
    async with open_sockets([leaving.url], 5) as people:
        for socket in people:
            await socket.emit("join-session", made.code)
        answer = await desk.call("POST", "/drain")
        assert (answer.status_code, answer.json()["clients"]) == (202, 5)
        for socket in people:
            await socket.closed()
    assert (await desk.call("POST", "/drain")).json()["clients"] == 0
    shown = await desk.asked("/replicas")
    assert (shown["asked"]["status"], shown["asked"]["connections"]) == ("draining", 0)
    assert (await desk.asked("/replicas", replica=1))["asked"]["status"] == "ready"
    async with httpx.AsyncClient(trust_env=False) as client:
        poll = "/socket.io/?EIO=4&transport=polling"
        assert (await client.get(leaving.url + poll)).status_code == 503
        assert (await client.get(staying.url + poll)).status_code == 200
    assert (await desk.api.join(made.code)).status_code == 200


async def test_a_replica_that_operators_have_drained_tells_so_and_stops_at_once(redis_server: RedisServer) -> None:
    settings = {**SETTINGS, "drain_timeout": 30, "affinity_cookie": "route"}
    async with (
        replicas(redis_server.url(), **settings) as [replica],
        httpx.AsyncClient(trust_env=False) as client,
    ):
        async with open_sockets([replica.url], 2) as people:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await client.post(f"{replica.internal_url}/operator/drain", headers=headers)
            assert answer.json()["clients"] == 2
            for socket in people:
                await socket.closed()
        refused = await client.get(f"{replica.url}/socket.io/?EIO=4&transport=polling")
        assert refused.status_code == 503
        assert refused.headers["set-cookie"] == "route=; Path=/; Max-Age=0; HttpOnly"
        ready = await client.get(f"{replica.internal_url}/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "draining")
        metrics = (await client.get(f"{replica.internal_url}/metrics")).text
        assert "join_session_draining 1.0" in metrics
        assert "join_session_drain_clients 0.0" in metrics
        # Nobody is left to be sent away, so it need not take the drain's thirty seconds.
        async with asyncio.timeout(15):
            assert await asyncio.to_thread(replica.stop) == 0


async def test_limits_are_shown_with_what_is_used_of_them(desk: Desk) -> None:
    await several(desk, 2)
    async with open_sockets([desk.replicas[0].url], 1):
        shown = await desk.asked("/limits")
        most = (await scrape(desk.replicas[0])).value("join_session_max_connections")
    assert shown["usage"] == {
        "sessions": {"used": 2, "limit": 100_000},
        "missesPerMinute": {"used": 0, "limit": 6000},
        "connections": {"used": 1, "limit": most},
    }
    assert shown["limits"]["missBudget"] == 20


@pytest.mark.parametrize(
    ("locked_out", "forgiven"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::2"), ("::ffff:192.0.2.8", "192.0.2.8")],
)
async def test_an_address_that_is_locked_out_is_let_in_again(
    redis_server: RedisServer, locked_out: str, forgiven: str
) -> None:
    limits = {"unlimited_addresses": "", "trusted_proxies": "127.0.0.0/8", "miss_budget": 2, "create_budget": 1}
    async with served_here(redis_server.url(), 2, **{**SETTINGS, **limits}) as replicas:
        desk = Desk(redis_server, replicas)
        headers = {"X-Forwarded-For": locked_out}
        for _ in range(3):
            await desk.api.join("2222222222", headers=headers)
            await desk.api.call("POST", "/api/session/create", headers=headers)
        for status in (429, 404):
            assert (await desk.api.join("2222222222", headers=headers)).status_code == status
            creation = await desk.api.call("POST", "/api/session/create", headers=headers)
            assert creation.status_code == (429 if status == 429 else 201)
            assert (await desk.call("DELETE", f"/limits/{forgiven}", replica=1)).json() == {"ok": True}
        for nonsense in ("x", "192.0.2", "192.0.2.0/24"):
            answer = await desk.call("DELETE", f"/limits/{nonsense}")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid-payload")
        await desk.close()


async def test_without_redis_operators_are_told_so_in_time(desk: Desk) -> None:
    desk.redis.kill()
    for method, path in (("GET", "/sessions"), ("DELETE", "/sessions/2222222222"), ("GET", "/limits")):
        async with asyncio.timeout(3):
            answer = await desk.call(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_other_methods_are_refused(desk: Desk) -> None:
    for path in ("/sessions", "/drain", "/limits"):
        answer = await desk.call("PUT", path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")


async def test_wrong_tokens_are_ten_a_minute_and_address_and_the_right_one_always_passes() -> None:
    settings = SETTINGS | {"unlimited_addresses": "", "trusted_proxies": "127.0.0.0/8"}
    async with RedisServer() as redis, served_here(redis.url(), 2, **settings) as started:
        desk = Desk(redis, started)
        wrong = [await desk.call("GET", "/limits", replica=number % 2, token=f"wrong {number}") for number in range(10)]
        assert {answer.status_code for answer in wrong} == {401}
        for number in range(2):
            refused = await desk.call("GET", "/limits", replica=number, token="wrong")
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
            assert 0 < int(refused.headers["Retry-After"]) <= 60
        # Nobody is believed to have passed a request on to the internal port.
        async with httpx.AsyncClient(base_url=started[0].internal_url, trust_env=False) as client:
            disguised = {"Authorization": "Bearer wrong", "X-Forwarded-For": "192.0.2.9"}
            assert (await client.get("/operator/limits", headers=disguised)).status_code == 429
        assert (await desk.call("GET", "/limits", token=None)).status_code == 401
        assert (await desk.call("GET", "/limits")).status_code == 200
        assert (await desk.call("DELETE", "/limits/127.0.0.1")).status_code == 200
        assert (await desk.call("GET", "/limits", token="wrong")).status_code == 401
        await desk.close()
