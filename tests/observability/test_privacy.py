"""Everything a service can be asked, and what can go wrong with it; then its logs, traces and metrics are searched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

import httpx
import pytest
import websockets

from app.http.app import create_app
from app.http.sessions import BodyLimits
from app.http.web import PageSettings
from app.sessions.operations import EVENTS
from tests.harness.keys import KEYS
from tests.harness.otlp import Receiver, receiver
from tests.harness.people import Api, Made, movie
from tests.harness.privacy import assert_nothing_private, found_in
from tests.harness.redis import RedisServer
from tests.harness.service import LETTERS, Replica, replicas
from tests.harness.sockets import Socket
from tests.harness.waiting import until
from tests.observability.documented_spans import assert_documented_in_itself

SETTINGS: Final[dict[str, Any]] = {
    **LETTERS,
    "log_level": "debug",
    "secret": "the-whole-deployments-own-secret",
    "grace": 2,
    "lease": 4,
    "redis_timeout": 4,
    "unlimited_addresses": "127.0.0.2/32",
    "miss_budget": 1000,
    "create_budget": 1000,
    "drain_timeout": 0.5,
    "demo": True,
}
NOBODY: Final = "XXXXXXXXXX"
PASSCODES: Final = ("Swordfish-1932", "Rosebud-1941", "Shibboleth-judges")
NAMES: Final = ("Wilhelmina Quist", "Ærøskøbing Ödön", "Zebedee|Oxford", "Title-of-theirs", "Overview-of-theirs")
FORGED: Final = "p.forgedinstance.forgedsubject.AAAAAAAAAAAAAAAAAAAAAA"


class Told:
    """Every secret that was used, noted when it came up."""

    def __init__(self) -> None:
        self.secrets = {NOBODY, FORGED, *NAMES, *PASSCODES, SETTINGS["secret"], "forgedsubject"}

    def note(self, *secrets: str) -> None:
        for secret in secrets:
            self.secrets.add(secret)
            # Parts of a token, but for its kind and the generation of a host's.
            self.secrets |= {part for part in secret.split(".") if "." in secret and len(part) > 6}

    def made(self, made: Made) -> Made:
        self.note(made.code, made.host_token)
        return made

    def joined(self, socket: Socket, ack: dict[str, Any]) -> None:
        assert ack["ok"], ack
        self.note(ack["token"], ack["participantID"], socket.pid)


@pytest.fixture
def traces() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_no_code_name_or_token_is_in_any_log_trace_or_metric(redis_server: RedisServer, traces: Receiver) -> None:
    told, logs, metrics = Told(), "", ""
    async with replicas(redis_server.url(), 3, environment=traces.environment, **SETTINGS) as started:
        api = Api(started)
        await every_route(api, told)
        await every_event(api, started, told)
        await passcodes(api, redis_server, started, told)
        await hostile_requests(api, started, told)
        await hostile_packets(api, started, told)
        await wrong_replicas(api, started, told)
        await broken_data(api, redis_server, started, told)
        await outages(api, redis_server, started, told)
        metrics += await scraped(started)
        await a_replica_dies(api, started, told)
        metrics += await scraped(started[:2])
        await asyncio.gather(*(asyncio.to_thread(replica.stop) for replica in started[:2]))
        await api.close()
        logs = "".join(replica.log_text() for replica in started)
    for text in (logs, traces.text + traces.raw.decode(errors="replace"), metrics):
        assert found_in(text, told.secrets) == []
    assert_nothing_private(logs + metrics)
    assert "js:" not in traces.text
    assert_everything_was_asked(traces)
    assert_documented_in_itself(traces.spans)
    assert_lines_belong_to_traces(logs, traces)
    assert "join_session_connections" in metrics
    assert {"Redis is unavailable", "unexpected reply from Redis"} <= messages(logs)


def test_the_search_finds_what_it_is_for() -> None:
    token = "p.abcdefghjkmnpqr.0123456789abcde.AbCdEfGhIjKlMnOpQrStUv"
    for text in (token, "x=js:{123456}", "code=23456CFGHJ.", "pid='abcdefghijklmnopqrstuvwx.01234567'"):
        with pytest.raises(AssertionError):
            assert_nothing_private(f"before {text} after")
    assert_nothing_private("app.socketio_server 1234567890 2026-01-22T12:00:00.000Z js:sessions deadbeefdeadbeef")
    assert found_in(r"?name=Zebedee%7coxford %C3%86r xxxxxxxxxx", [NOBODY, *NAMES]) == [NOBODY, "Zebedee|Oxford"]
    assert found_in(json.dumps("Ærøskøbing Ödön"), NAMES) == ["Ærøskøbing Ödön"]


async def every_route(api: Api, told: Told) -> None:
    made = told.made(await api.create(title=NAMES[3], movies=[movie("m1", title=NAMES[3], overview=NAMES[4])]))
    other = told.made(await api.create(replica=1))
    for token in (None, made.host_token, other.host_token, FORGED, f"{made.host_token}x"):
        for path in (made.path, f"/api/session/{made.code.lower()}", f"/api/session/{NOBODY}", f"{made.path}x"):
            await api.call("GET", path, token=token)
            await api.call("PATCH", path, token=token, json={"title": NAMES[0], "capacity": NAMES[1]})
            await api.call("PATCH", path, token=token, json={"title": NAMES[0]})
            await api.call("POST", f"{path}/movies", token=token, json=movie("m2", title=NAMES[0]), key=made.code)
            await api.call("PUT", f"{path}/movies/m1/vote", token=token, json={"rating": 5})
            await api.call("PUT", f"{path}/movies/{made.code}/vote", token=token, json={"rating": NAMES[0]})
            await api.call("DELETE", f"{path}/movies/m1/vote", token=token)
            await api.call("DELETE", f"{path}/movies/m2", token=token)
            await api.call("DELETE", f"{path}/participants/{made.code}", token=token, params={"ban": NAMES[0]})
            await api.call("GET", f"{path}/participants", token=token, params={"cursor": NAMES[0]})
            await api.call("PATCH", f"{path}/participants/{made.code}", token=token, json={"name": NAMES[0]})
            await api.call("POST", f"{path}/decision", token=token, json={"movieID": NAMES[0]})
            await api.call("POST", f"{path}/decision", token=token, json={"movieID": "m1"}, key=made.code)
            await api.call("GET", f"{path}/result", token=token, params={"format": NAMES[0]})
            await api.call("DELETE", f"{path}/decision", token=token, params={"clear": NAMES[0]})
            await api.call("DELETE", f"{path}/decision", token=token)
            await api.call("OPTIONS", path, token=token)
    for body in (made.code, made.code.lower(), NOBODY, f" {made.code} ", [made.code], {made.code: NAMES[0]}, None):
        await api.join(body, replica=2)
    plain = [route.split(" ") for route in routes() if "{" not in route]
    for method, path in (*plain, ("GET", "/web/main.js"), ("GET", f"/web/{made.code}")):
        await api.call(method, path, headers={"Referer": made.path}, params={"code": made.code})
    await api.call("DELETE", other.path, token=made.host_token)
    assert (await api.call("DELETE", other.path, token=other.host_token)).status_code == 200
    await api.call("GET", other.path, token=other.host_token)


async def every_event(api: Api, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create(movies=[movie("m1")]))
    host, guest, third = [await Socket.open(replica.url, {"name": NAMES[0]}) for replica in started]
    told.joined(host, await host.emit("join-session", made.code, {"token": made.host_token, "name": NAMES[0]}))
    told.joined(guest, ack := await guest.emit("join-session", {"sessionID": made.code, "name": NAMES[1]}))
    told.joined(third, left := await third.emit("join-session", made.code, {"name": NAMES[2].replace("|", " ")}))
    for payload in ({"movieID": "m1", "rating": 4}, {"movieID": made.code, "rating": NAMES[0]}, NAMES[0], [made.code]):
        for event in ("vote", "withdraw-vote", "add-movie", "remove-movie", "update-session", "kick-participant"):
            await guest.emit(event, payload)
    assert (await host.emit("add-movie", movie("m3", title=NAMES[3])))["ok"]
    assert (await host.emit("update-session", {"title": NAMES[3], "mid": made.code}))["ok"]
    assert (await guest.emit("rename-participant", {"name": NAMES[0], "mid": made.code}))["ok"]
    assert (await host.emit("decide", {"movieID": "m3"}))["ok"]
    assert (await host.emit("reopen"))["ok"]
    assert (await host.emit("remove-movie", {"movieID": "m3"}))["ok"]
    assert (await host.emit("kick-participant", {"participantID": left["participantID"]}))["ok"]
    await third.next("session-ended")
    await third.emit("join-session", made.code, {"token": left["token"]})
    await third.emit("join-session", made.code, {"token": FORGED})
    await third.emit("join-session", NOBODY, {"name": "x" * 500 + NAMES[0]})
    told.note((await host.emit("rotate-host-token"))["hostToken"])
    assert (await host.emit("transfer-host", {"participantID": ack["participantID"]}))["ok"]
    await guest.drop()
    back = await Socket.open(started[1].url, {"pid": guest.pid, "offset": guest.offset})
    stranger = await Socket.open(started[2].url, {"pid": FORGED, "offset": made.code})
    told.note(back.pid, stranger.pid)
    again = await back.emit("join-session", made.code, {"token": ack["token"]})
    told.joined(back, again)
    assert (await host.emit("leave-session"))["ok"]
    assert (await back.emit("end-session"))["ok"]
    await back.emit(made.code, {made.code: NAMES[0]})
    for socket in (host, back, third, stranger):
        await socket.close()


async def passcodes(api: Api, redis: RedisServer, started: list[Replica], told: Told) -> None:
    """Given in every way, repeated, guessed, too long and of the wrong type; and then Redis itself is searched."""
    right, wrong, _ = PASSCODES
    key = "a-key-to-create-once"
    bodies = ({"passcode": right}, {"passcode": wrong}, {"passcode": [wrong]}, {"passcode": wrong * 10})
    for body in bodies:
        await api.call("POST", "/api/session/create", key=key, json=body)
    made = told.made(await api.create(passcode=right))
    for body in bodies:
        await api.call("PATCH", made.path, token=made.host_token, key=key, json=body)
        await api.call("PATCH", made.path, token=FORGED, json=body)
        await api.call("GET", made.path, params=body)
    await api.call("PATCH", made.path, token=made.host_token, json={"passcode": right})
    host, guest = [await Socket.open(replica.url, {"passcode": right}) for replica in started[:2]]
    for passcode in (wrong, [wrong], wrong * 10, right):
        ack = await guest.emit("join-session", made.code, {"name": NAMES[0], "passcode": passcode})
    told.joined(guest, ack)
    told.joined(host, await host.emit("join-session", made.code, {"token": made.host_token, "name": NAMES[1]}))
    for passcode in (*PASSCODES, [wrong], wrong * 10):
        await host.emit("update-session", {"passcode": passcode, "mid": key})
    assert (await host.emit("update-session", {"passcode": PASSCODES[2]}))["ok"]
    everything = [await redis.call("DUMP", name) for name in await redis.call("KEYS", "*")]
    everything += await redis.call("KEYS", "*")
    for secret in PASSCODES:
        assert not [part for part in everything if secret.encode() in part]
    for socket in (host, guest):
        assert secret_free(socket)
        await socket.close()


def secret_free(socket: Socket) -> bool:
    """Whether no update that a client was sent has a passcode or its hash."""
    text = json.dumps([socket.update, socket.meta])
    return found_in(text, [*PASSCODES, "scrypt"]) == []


async def hostile_requests(api: Api, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create())
    secrets = f"{made.code}/{made.host_token}/{NAMES[0]}"
    for path in (f"/{secrets}", f"/api/session/{secrets}", f"/api/session/join?{secrets}", f"/socket.io/{secrets}"):
        for method in ("GET", "POST", "PROPFIND", "TRACE"):
            await api.call(method, path, headers={"X-Request-Id": made.code, "traceparent": secrets[:40]})
    for body in (made.code, f'{{"sessionID":"{made.code}"', f'"{NAMES[0]}"', made.code.encode("utf-16"), "[" * 50_000):
        await api.call("POST", "/api/session/join", content=body)
        await api.call("POST", "/api/session/create", content=body)
        await api.call("PATCH", made.path, content=body, token=made.host_token)
    await api.call("POST", "/api/session/join", content=made.code * 10_000)
    for text in (
        f"GET /{secrets}\r\n\r\n",
        f"{made.code} / HTTP/9.9\r\n{NAMES[0]}\r\n\r\n",
        made.host_token + "\r\n\r\n",
    ):
        await written(started[0].port, text)
        await written(started[0].internal_port, text)
    for internal in ("/forwarded", "/metrics", "/readyz", "/nothing", f"/{made.code}"):
        async with httpx.AsyncClient(base_url=started[0].internal_url, trust_env=False) as client:
            await client.get(f"{internal}?{made.code}", headers={"Authorization": f"Bearer {made.host_token}"})


async def hostile_packets(api: Api, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create())
    address = started[0].url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    garbage: list[str | bytes] = [
        f'42["{made.code}"',
        f'42{{"{made.code}":"{NAMES[0]}"}}',
        f'42["join-session","{made.code}",{{"name":NaN}}]',
        f'451-["{made.code}",{{"_placeholder":true,"num":0}}]',
        f'42["disconnect","{made.code}"]',
        f'43999["{made.code}"]',
        f'42/{made.code},["vote"]',
        f'40/{made.code},{{"name":"{NAMES[0]}"}}',
        f"4{made.code}",
        f"9{made.host_token}",
        made.code.encode(),
        f'42["vote","{made.code * 40_000}"]',
    ]
    for packet in garbage:
        async with websockets.connect(address, proxy=None, max_size=None) as connection:
            await connection.send(f'40{{"name":"{NAMES[0]}","token":"{made.host_token}"}}')
            await connection.send(f'420["join-session","{made.code}",{{"name":"{NAMES[0]}"}}]')
            with contextlib.suppress(websockets.ConnectionClosed, TimeoutError):
                await connection.send(packet)
                await connection.send(packet)
                async with asyncio.timeout(0.3):
                    while True:
                        note_joined(told, await connection.recv())
            connection.transport.abort()
    for query in (f"EIO=4&transport={made.code}", f"EIO={made.code}", f"EIO=4&transport=polling&sid={made.code}"):
        await api.call("GET", f"/socket.io/?{query}")
        await api.call("POST", f"/socket.io/?{query}", content=made.code)
        with contextlib.suppress(websockets.WebSocketException):
            async with websockets.connect(f"{address.partition('?')[0]}?{query}", proxy=None):
                pass


async def wrong_replicas(api: Api, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create())
    poll = "/socket.io/?EIO=4&transport=polling"
    opened = await api.call("GET", poll)
    sid = json.loads(opened.text[1:])["sid"]
    told.note(sid.partition(".")[2])
    await api.call("POST", f"{poll}&sid={sid}", replica=1, content=f'40{{"name":"{NAMES[0]}"}}')
    await api.call("GET", f"{poll}&sid={sid}", replica=2)
    await api.call("POST", f"{poll}&sid={sid}", replica=1, content=f'420["join-session","{made.code}"]')
    note_joined(told, (await api.call("GET", f"{poll}&sid={sid}", replica=2)).text)
    await api.call("POST", f"{poll}&sid={sid}", replica=2, content=f'42["{made.code}"')
    await api.call("GET", f"{poll}&sid={sid}{made.code}", replica=2)


async def broken_data(api: Api, redis: RedisServer, started: list[Replica], told: Told) -> None:
    """What others have written into our keys; and a login that may not read them."""
    for damage in (
        ("SET", "{key}", NAMES[0]),
        ("HSET", "{key}", "version", "{code}"),
        ("HSET", "{key}", f"p:{NAMES[0]}", "{code}"),
        ("HSET", "{key}", "m:{code}", "1|1|{code}|{code}"),
        ("HDEL", "{key}", "epoch"),
        ("SET", "{key}:connections", "{code}"),
        ("SET", "{key}:replies", "{code}"),
    ):
        made = told.made(await api.create(movies=[movie("m1")]))
        socket = await Socket.open(started[1].url)
        told.joined(socket, await socket.emit("join-session", made.code, {"name": NAMES[0]}))
        key = KEYS.session(made.code)
        await redis.call(*(part.replace("{key}", key).replace("{code}", made.code) for part in damage))
        await api.join(made.code)
        await api.call("PATCH", made.path, token=made.host_token, json={"title": NAMES[3]}, key="again")
        await socket.emit("vote", {"movieID": "m1", "rating": 5, "mid": made.code})
        await socket.emit("join-session", made.code, {"name": NAMES[0]})
        await redis.call("SPUBLISH", key, f"{made.code} {made.code}")
        await socket.close()
    made = told.made(await api.create())
    for rules in (("resetkeys", "~other"), ("~*", "-@all"), ("+@all", "resetchannels")):
        await redis.call("ACL", "SETUSER", "default", *rules, "+acl")
        await api.join(made.code)
        await api.call("PATCH", made.path, token=made.host_token, json={"title": NAMES[3]})
        socket = await Socket.open(started[2].url)
        await socket.emit("join-session", made.code, {"name": NAMES[0]})
        await socket.close()
        await redis.call("ACL", "SETUSER", "default", "~*", "&*", "+@all")


async def outages(api: Api, redis: RedisServer, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create(movies=[movie("m1")]))
    socket = await Socket.open(started[0].url)
    told.joined(socket, await socket.emit("join-session", made.code, {"name": NAMES[0]}))
    redis.pause()
    try:
        pending = [socket.emit("vote", {"movieID": "m1", "rating": rating}) for rating in (1, 2)]
        pending.append(socket.emit("join-session", made.code, {"token": made.host_token}))
        await asyncio.gather(*pending, *(api.join(made.code, replica=number) for number in range(3)))
    finally:
        redis.resume()
    redis.kill()
    await asyncio.gather(*(api.join(made.code, replica=number) for number in range(3)))
    await socket.emit("vote", {"movieID": "m1", "rating": 3})
    await redis.restart(with_data=False)
    await socket.next("session-ended", 30)
    await socket.close()


async def a_replica_dies(api: Api, started: list[Replica], told: Told) -> None:
    made = told.made(await api.create())
    here, there = [await Socket.open(replica.url) for replica in started[1:]]
    for socket in (here, there):
        told.joined(socket, await socket.emit("join-session", made.code, {"name": NAMES[1]}))
    started[2].kill()
    await there.close()
    await until(lambda: alone(api, made), "the participant of the dead replica is gone")
    # It stays connected while its replica drains.
    await here.read_by_server()


async def alone(api: Api, made: Made) -> bool:
    return len((await api.read(made.code))["sessionData"]["participants"]) == 1


def note_joined(told: Told, packets: str | bytes) -> None:
    for secret in re.findall(r'"(?:token|participantID|pid)":"([^"]+)"', str(packets)):
        told.note(secret)


async def written(port: int, text: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(1):
            await reader.read()
    writer.transport.abort()


async def scraped(started: list[Replica]) -> str:
    text = ""
    async with httpx.AsyncClient(trust_env=False) as client:
        for replica in started:
            for accept in ("text/plain", "application/openmetrics-text"):
                text += (await client.get(f"{replica.internal_url}/metrics", headers={"Accept": accept})).text
    return text


def messages(logs: str) -> set[str]:
    return {json.loads(line)["message"] for line in logs.splitlines()}


def assert_everything_was_asked(traces: Receiver) -> None:
    events = {*EVENTS, "unknown-event", "connect", "disconnect"}
    assert set(routes()) | {f"receive {event}" for event in events} <= {span.name for span in traces.spans}


def routes() -> list[str]:
    nothing = cast("Any", None)
    placeholder = re.compile("<(?:[^:<>]*:)?([^<>]+)>")
    return [
        f"{method} {placeholder.sub(_in_braces, rule.rule)}"
        for rule in create_app(nothing, nothing, BodyLimits(1, 1), page=PageSettings()).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]


def _in_braces(match: re.Match[str]) -> str:
    return f"{{{match[1]}}}"


def assert_lines_belong_to_traces(logs: str, traces: Receiver) -> None:
    lines = [json.loads(line) for line in logs.splitlines()]
    failures = [line for line in lines if line["message"] == "request failed"]
    assert failures
    known = {(span.trace, span.replica) for span in traces.spans}
    for line in failures:
        assert line["trace_id"] in {trace for trace, _ in known}
        assert line["span_id"]
        assert len(line["request_id"]) == 16
