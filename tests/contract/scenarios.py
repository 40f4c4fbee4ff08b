"""Conversations that touch every route, every event and every error that a client can provoke in little time.

Each is a function of a `Recording` and the `Services`; its file in `recorded` has its name. For an addition to the
contract write a function of its own, add it to `SCENARIOS` and record it alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.contract.recording import Polling, Recording, WebSocket
from tests.harness.redis import RedisServer
from tests.harness.service import UNKNOWN, Replica

__all__ = ["ALLOWED", "CREATE_KEY", "OPERATOR_TOKEN", "SCENARIOS", "Services"]

ALLOWED: Final = "https://app.example"
CREATE_KEY: Final = "only-for-friends"
OPERATOR_TOKEN: Final = "an-operator-of-ours"
_CREATE: Final = "/api/session/create"
_JOIN: Final = "/api/session/join"
_MOVIES: Final = [
    {"id": "a", "title": "Alien", "year": 1979, "genres": ["Horror"], "overview": "…", "posterUrl": "https://x.org/a"},
    {"id": "b", "title": "Brazil"},
]
# What of a document is for people.
_TEXTS: Final = ("description", "summary", "title")
_FORGED: Final = "p.abcdefgh.abcdefgh.AAAAAAAAAAAAAAAAAAAAAA"


class Services(dict[str, Replica]):
    """`plain`: our settings for tests; `strict`: small limits, a key, digits; `brief`: sessions
    end soon, few codes may be guessed, Redis has to be quick; `away`: its Redis cannot be reached.
    `exhausted` and `leaving` are like `strict`, for scenarios after which they serve nobody.

    Each is started when it is first asked for, by `start`, which gets its name. `redis` is that of all but `away`.
    """

    def __init__(self, start: Callable[[str], Replica], redis: RedisServer) -> None:
        super().__init__()
        self._start = start
        self.redis = redis

    def __missing__(self, name: str) -> Replica:
        replica = self[name] = self._start(name)
        return replica


async def joining(record: Recording, services: Services) -> None:
    port = services["plain"].port
    made = (await record.ask(port, "POST", _CREATE, {"movies": _MOVIES})).json
    code = made["sessionID"]
    for given in (code, f"  {code.lower()} ", UNKNOWN, "not a code!", 1234567890):
        await record.ask(port, "POST", _JOIN, {"sessionID": given, "other": 1})
    wrong: Any
    for wrong in (None, "", "  ", 0, True, 1.5, [], {}):
        await record.ask(port, "POST", _JOIN, {"sessionID": wrong})
    for body in (b"", b"{", b"[]", b'"x"', b"\xff"):
        await record.ask(port, "POST", _JOIN, body)
    await record.ask(port, "POST", _JOIN, b"{" + b" " * 16_384)
    await record.ask(port, "POST", _JOIN + "/", {"sessionID": code}, Origin=ALLOWED)


async def creating(record: Recording, services: Services) -> None:
    port = services["plain"].port
    await record.ask(port, "POST", _CREATE)
    full = {"title": " Friday ", "ttlSeconds": 90.5, "capacity": 7, "movies": _MOVIES, "leaverRatings": "keep"}
    await record.ask(port, "POST", _CREATE, full, Origin=ALLOWED)
    wrong: list[Any] = [
        {"title": "x" * 101},
        {"title": 1},
        {"ttlSeconds": 0},
        {"ttlSeconds": 1e9},
        {"capacity": 0},
        {"capacity": 1001},
        {"capacity": "1"},
        {"leaverRatings": "some"},
        {"movies": {}},
        {"movies": [{"id": "a"}]},
        {"movies": [{"id": "a|b", "title": "x"}]},
        {"movies": [{"id": "a", "title": " "}]},
        {"movies": [{"id": "a", "title": "x", "year": 1}]},
        {"movies": [{"id": "a", "title": "x", "posterUrl": "http://x.org"}]},
        {"movies": [{"id": "a", "title": "x", "genres": [""]}]},
        {"movies": [{"id": f"m{number}", "title": "x"} for number in range(501)]},
        [],
    ]
    for body in wrong:
        await record.ask(port, "POST", _CREATE, body)
    await record.ask(port, "POST", _CREATE, b"{")
    await record.ask(port, "POST", _CREATE, b"{" + b" " * 262_144)
    record.note("The same key again, with another body, and keys that are none")
    key = "0123456789abcdef"
    await record.ask(port, "POST", _CREATE, {"title": "x"}, Idempotency_Key=key)
    await record.ask(port, "POST", _CREATE, {"title": "x"}, Idempotency_Key=key)
    await record.ask(port, "POST", _CREATE, {"title": "y"}, Idempotency_Key=key)
    for wrong_key in ("short", "x" * 129, "with a space and more"):
        await record.ask(port, "POST", _CREATE, {}, Idempotency_Key=wrong_key)


async def reading(record: Recording, services: Services) -> None:
    port = services["plain"].port
    made = await record.ask(port, "POST", _CREATE, {"movies": _MOVIES})
    path, tag = made.field("Location"), made.field("ETag")
    await record.ask(port, "GET", path)
    await record.ask(port, "GET", path.lower() + "/")
    await record.ask(port, "HEAD", path)
    for seen in (tag, f'"x", W/{tag}', "*", '"x"'):
        await record.ask(port, "GET", path, If_None_Match=seen, Origin=ALLOWED)
    await record.ask(port, "GET", f"/api/session/{UNKNOWN}")
    await record.ask(port, "GET", f"/api/session/{UNKNOWN}", If_None_Match="*")
    await record.ask(port, "GET", "/api/session/a%2Fb")
    await record.ask(port, "GET", path, token=_FORGED)


async def methods_and_origins(record: Recording, services: Services) -> None:
    port = services["plain"].port
    session = f"/api/session/{UNKNOWN}"
    movie = f"{session}/movies/m"
    paths = [_JOIN, _CREATE, session, f"{session}/movies", movie, f"{movie}/vote", f"{session}/participants/p"]
    for path in [*paths, "/openapi.json", "/"]:
        await record.ask(port, "OPTIONS", path)
        await record.ask(port, "OPTIONS", path, Origin=ALLOWED, Access_Control_Request_Method="PUT")
        await record.ask(port, "TRACE", path)
    await record.ask(port, "PUT", _JOIN, Origin=ALLOWED)
    await record.ask(port, "PUT", _JOIN, Origin="https://evil.example")
    await record.ask(port, "OPTIONS", _JOIN, Origin="https://evil.example", Access_Control_Request_Method="POST")
    for path in ("/nothing", "/api/session", "/api//session/join", "/api/session/x/y", "/healthz", "/metrics"):
        await record.ask(port, "GET", path)
    record.note("Another replica, without origins")
    await record.ask(services["strict"].port, "OPTIONS", _JOIN, Origin=ALLOWED, Access_Control_Request_Method="POST")
    await record.ask(services["strict"].port, "GET", "/")


async def changes_over_http(record: Recording, services: Services) -> None:
    port = services["plain"].port
    made = await record.ask(port, "POST", _CREATE, {"movies": _MOVIES, "capacity": 3})
    path, host_token = made.field("Location"), made.json["hostToken"]
    host = await WebSocket(record, "host").connect(port)
    await _join(host, made.json["sessionID"], {"token": host_token})
    ann = await WebSocket(record, "ann").connect(port)
    ann.send("420" + json.dumps(["join-session", made.json["sessionID"], {"name": "Ann"}]))
    frames = await ann.get(3, acks_first=False)
    member = next(json.loads(frame[3:])[0] for frame in frames if frame.startswith("430"))

    async def ask(method: str, rest: str, body: Any = None, token: str | None = None, **fields: str) -> None:
        await record.ask(port, method, path + rest, body, token=token or member["token"], **fields)

    record.note("Who asks")
    for token in ("", "x", _FORGED):
        await record.ask(port, "PATCH", path, {"title": "x"}, token=token)
    await record.ask(port, "PATCH", path, {"title": "x"})
    await record.ask(port, "PATCH", path, {"title": "x"}, Authorization="Basic eDp5")
    await record.ask(port, "PATCH", f"/api/session/{UNKNOWN}", {"title": "x"}, token=host_token)
    await ask("PATCH", "", {"title": "x"})
    await ask("DELETE", "")
    await ask("DELETE", "/movies/a")
    await ask("DELETE", "/participants/abcdefgh")
    await ask("PUT", "/movies/a/vote", {"rating": 3}, host_token)
    record.note("The session")
    for body in ({"title": " T "}, {"title": None, "capacity": 2, "locked": True, "ttlSeconds": 300}, {}, {"x": 1}):
        await ask("PATCH", "", body, host_token)
    wrong: Any
    for wrong in ({"capacity": 0}, {"capacity": 5000}, {"locked": 1}, {"ttlSeconds": 1}, []):
        await ask("PATCH", "", wrong, host_token)
    record.note("Movies")
    await ask("POST", "/movies", {"id": "c", "title": "Casablanca"})
    await ask("POST", "/movies", {"movies": [{"id": "c", "title": "again"}, {"id": "d", "title": "Dune"}]})
    await ask("POST", "/movies", {"movies": []})
    await ask("POST", "/movies", {"movies": [{"id": "e", "title": ""}]})
    await ask("POST", "/movies", {"movies": [{"id": f"m{number}", "title": "x"} for number in range(500)]})
    await ask("DELETE", "/movies/c")
    await ask("DELETE", "/movies/c")
    await ask("DELETE", "/movies/a", token=host_token)
    record.note("Ratings")
    await ask("PUT", "/movies/b/vote", {"rating": 5})
    await ask("PUT", "/movies/b/vote", {"rating": 1, "movieID": "d"})
    for rating in (0, 6, 2.5, "3", None):
        await ask("PUT", "/movies/b/vote", {"rating": rating})
    await ask("PUT", "/movies/none/vote", {"rating": 3})
    await ask("DELETE", "/movies/b/vote")
    await ask("DELETE", "/movies/b/vote")
    await ask("DELETE", "/movies/none/vote")
    record.note("The same key again, with another body, and keys that are none")
    for rating in (2, 2, 3):
        await ask("PUT", "/movies/b/vote", {"rating": rating}, Idempotency_Key="key")
    await ask("PUT", "/movies/b/vote", {"rating": 4}, Idempotency_Key="")
    await ask("PUT", "/movies/b/vote", {"rating": 4}, Idempotency_Key="with space")
    record.note("Participants")
    await ask("DELETE", "/participants/abcdefgh", token=host_token)
    await ask("DELETE", f"/participants/{member['participantID']}?ban=maybe")
    await ask("DELETE", f"/participants/{member['participantID']}")
    await ask("PUT", "/movies/b/vote", {"rating": 2})
    record.note("The end")
    await ask("DELETE", "", token=host_token, Idempotency_Key="end")
    await ask("DELETE", "", token=host_token, Idempotency_Key="end")
    await ask("DELETE", "", token=host_token)
    await record.ask(port, "GET", path)


async def _session(record: Recording, port: int, **body: Any) -> tuple[str, str]:
    made = (await record.ask(port, "POST", _CREATE, {"movies": _MOVIES, **body})).json
    return made["sessionID"], made["hostToken"]


async def _join(socket: WebSocket, *args: Any) -> dict[str, Any]:
    """Join, and get the acknowledgement, `joined-session` and the first state."""
    socket.send("421" + json.dumps(["join-session", *args]))
    frames = await socket.get(3, acks_first=False)
    ack: dict[str, Any] = next(json.loads(frame[3:])[0] for frame in frames if frame.startswith("431"))
    return ack


async def websocket(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port, capacity=3)
    host = await WebSocket(record, "host").connect(port)
    first = await _join(host, code, {"name": "Hope", "token": host_token})
    guest = await WebSocket(record, "guest").connect(port)
    second = await _join(guest, {"sessionID": f" {code.lower()} "})
    await host.get(1)

    async def change(who: WebSocket, event: str, *args: Any) -> list[str]:
        """A change that both see."""
        other = guest if who is host else host
        who.send("422" + json.dumps([event, *args]))
        frames = await who.get(2)
        await other.get(1)
        return frames

    async def refused(who: WebSocket, event: str, *args: Any) -> None:
        who.send("423" + json.dumps([event, *args]))
        await who.get(1)

    record.note("Each change")
    await change(guest, "add-movie", {"id": "c", "title": "Casablanca"})
    await change(
        guest, "add-movie", {"movies": [{"id": "c", "title": "x"}, {"id": "d", "title": "Dune", "year": 2021}]}
    )
    await change(guest, "vote", {"movieID": "a", "rating": 4})
    await change(host, "vote", {"movieID": "a", "rating": 1, "mid": "m1"})
    await refused(host, "vote", {"movieID": "a", "rating": 1, "mid": "m1"})
    await refused(host, "vote", {"movieID": "a", "rating": 2, "mid": "m1"})
    await change(host, "withdraw-vote", {"movieID": "a"})
    await change(guest, "remove-movie", {"movieID": "d"})
    await change(host, "update-session", {"title": "Friday", "capacity": 4, "locked": True, "ttlSeconds": 600})
    await change(host, "rotate-host-token")
    await change(host, "transfer-host", {"participantID": second["participantID"]})
    await change(guest, "transfer-host", {"participantID": first["participantID"]})
    record.note("Refused")
    await refused(guest, "update-session", {"title": "x"})
    await refused(guest, "transfer-host", {"participantID": first["participantID"]})
    await refused(guest, "rotate-host-token")
    await refused(guest, "kick-participant", {"participantID": first["participantID"]})
    await refused(guest, "end-session")
    await refused(guest, "remove-movie", {"movieID": "a"})
    await refused(guest, "vote", {"movieID": "none", "rating": 3})
    await refused(host, "remove-movie", {"movieID": "none"})
    await refused(host, "kick-participant", {"participantID": "abcdefgh"})
    await refused(host, "kick-participant", {"participantID": 1})
    await refused(host, "transfer-host", {"participantID": "abcdefgh"})
    payload: Any
    for payload in (None, [], "x", {}, {"movieID": "a"}, {"movieID": "a", "rating": 9}, {"movieID": 1, "rating": 1}):
        await refused(guest, "vote", payload)
    await refused(guest, "vote", {"movieID": "a", "rating": 3, "mid": "with space"})
    await refused(guest, "add-movie", {"id": "x"})
    await refused(guest, "update-session", {})
    await refused(guest, "no-such-event", 1)
    await refused(guest, "joined-session")
    record.note("Refused without an acknowledgement")
    guest.send('42["vote",{"movieID":"none","rating":3}]')
    await guest.get(1)
    guest.send('42["nothing"]')
    await guest.get(1)
    record.note("Nobody can join a locked session, but who shows a token")
    late = await WebSocket(record, "late").connect(port)
    await refused(late, "vote", {"movieID": "a", "rating": 1})
    for args in ((code,), (), (None,), ("",), (0,), (1.5,), (UNKNOWN,), ({"sessionID": code, "name": 1},)):
        late.send("424" + json.dumps(["join-session", *args]))
        await late.get(2)
    late.send("424" + json.dumps(["join-session", code, {"token": _FORGED}]))
    await late.get(2)
    await _join(late, code, {"token": second["token"]})
    record.note("Joining once more changes nothing; to leave, others see")
    late.send("425" + json.dumps(["join-session", code]))
    await late.get(3, acks_first=False)
    guest.send('426["leave-session"]')
    await guest.left()
    await refused(guest, "leave-session")
    late.send('427["leave-session"]')
    await late.left()
    await host.get(1)


async def renaming(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    host = await WebSocket(record, "host").connect(port)
    first = await _join(host, code, {"name": "Ann", "token": host_token})

    async def rename(payload: Any, frames: int) -> None:
        host.send("422" + json.dumps(["rename-participant", payload]))
        await host.get(frames)

    await rename({"name": " Cleo ", "mid": "m1"}, 2)
    await rename({"name": "Cleo", "mid": "m1"}, 1)
    await rename({"name": "Dora", "mid": "m1"}, 1)
    for payload in ({}, {"name": ""}, {"name": "x" * 41}, {"name": "Dora", "participantID": "abcdefgh"}):
        await rename(payload, 1)
    path = f"/api/session/{code}/participants/"
    for who in (first["participantID"], "abcdefgh"):
        for token in (first["token"], host_token, "x"):
            await record.ask(port, "PATCH", path + who, {"name": "Cleo"}, token=token)
    await record.ask(port, "PATCH", path + first["participantID"], {"name": ""}, token=first["token"])


async def participants(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    path = f"/api/session/{code}/participants"
    await record.ask(port, "GET", path, token=host_token)
    host = await WebSocket(record, "host").connect(port)
    first = await _join(host, code, {"name": "Ann", "token": host_token})
    for query in ("", "?cursor=0", "?cursor=1", "?cursor=x"):
        await record.ask(port, "GET", path + query, token=first["token"])
    for token in (None, "x"):
        await record.ask(port, "GET", f"{path}?cursor=x", token=token)


async def passcode(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port, passcode="open sesame")
    path = f"/api/session/{code}"
    await record.ask(port, "POST", "/api/session/join", {"sessionID": code})
    for token in (None, "x", host_token):
        await record.ask(port, "GET", path, token=token)
    guest = await WebSocket(record, "guest").connect(port)
    for options in ({}, {"passcode": "closed sesame"}):
        guest.send("422" + json.dumps(["join-session", code, options]))
        await guest.get(2)
    await _join(guest, code, {"passcode": "open sesame"})
    await record.ask(port, "PATCH", path, {"passcode": "short"}, token=host_token)
    await record.ask(port, "PATCH", path, {"passcode": None}, token=host_token)
    await guest.get(1)
    await record.ask(port, "GET", path)


async def observing(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    screen = await WebSocket(record, "screen").connect(port)
    await _join(screen, code, {"observe": True})
    host = await WebSocket(record, "host").connect(port)
    await _join(host, code, {"name": "Ann", "token": host_token})
    await screen.get(1)
    screen.send("422" + json.dumps(["vote", {"movieID": "m1", "rating": 5}]))
    await screen.get(1)
    screen.send("423" + json.dumps(["leave-session"]))
    await screen.get(1)
    await host.get(1)


async def full(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, _ = await _session(record, port, capacity=1)
    first = await WebSocket(record, "first").connect(port)
    await _join(first, code)
    second = await WebSocket(record, "second").connect(port)
    second.send("422" + json.dumps(["join-session", code]))
    await second.get(2)


async def kick_ban_and_end(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    host = await WebSocket(record, "host").connect(port)
    await _join(host, code, {"token": host_token})
    for ban in (False, True):
        guest = await WebSocket(record, "guest").connect(port)
        ack = await _join(guest, code, {"name": "Gil"})
        await host.get(1)
        host.send("422" + json.dumps(["kick-participant", {"participantID": ack["participantID"], "ban": ban}]))
        await host.get(2)
        await guest.get(2)
        record.note("Back with the token")
        guest.send("423" + json.dumps(["join-session", code, {"token": ack["token"]}]))
        await guest.get(2 if ban else 3, acks_first=False)
        if not ban:
            await host.get(1)
            guest.send('424["leave-session"]')
            await guest.get(1)
            await host.get(1)
    other, _ = await _session(record, port)
    guest = await WebSocket(record, "guest").connect(port)
    await _join(guest, other)
    record.note("From one session to another")
    await _join(guest, code)
    await host.get(1)
    record.note("The end")
    host.send('425["end-session"]')
    await host.get(3)
    await guest.get(2)
    host.send('426["vote",{"movieID":"a","rating":1}]')
    await host.get(1)
    host.send("427" + json.dumps(["join-session", code, {"token": host_token}]))
    await host.get(2)


async def recovery(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    host = await WebSocket(record, "host").connect(port)
    await _join(host, code, {"token": host_token})
    guest = await WebSocket(record, "guest").connect(port)
    await _join(guest, code, {"name": "Gil"})
    offset = json.loads((await host.get(1))[0][2:])[3]
    guest.drop()
    await host.get(1)
    host.send('422["vote",{"movieID":"a","rating":3}]')
    await host.get(2)
    record.note("Back in time")
    back = WebSocket(record, "guest")
    await back.open(port)
    await back.get(1)
    back.send("40" + json.dumps({"pid": guest.pid, "offset": offset}))
    await back.get(2)
    await host.get(1)
    back.send('423["vote",{"movieID":"a","rating":5}]')
    await back.get(2)
    await host.get(1)
    record.note("Nothing is recovered with an id that is unknown, or of who left")
    for pid in ("unknown", guest.pid):
        if pid != "unknown":
            back.send("41")
            await host.get(1)
        stranger = WebSocket(record, "stranger")
        await stranger.open(port)
        await stranger.get(1)
        stranger.send("40" + json.dumps({"pid": pid, "offset": offset}))
        await stranger.get(1)


async def grace(record: Recording, services: Services) -> None:
    """Somebody is gone for longer than the grace time, and comes back with the token."""
    port = services["strict"].port
    made = (await record.ask(port, "POST", _CREATE, token=CREATE_KEY)).json
    host = await WebSocket(record, "host").connect(port)
    await _join(host, made["sessionID"], {"token": made["hostToken"]})
    guest = await WebSocket(record, "guest").connect(port)
    ack = await _join(guest, made["sessionID"], {"name": "Ada"})
    await host.get(1)
    guest.drop()
    await host.get(2)
    back = await WebSocket(record, "back").connect(port)
    await _join(back, made["sessionID"], {"token": ack["token"]})
    await host.get(1)
    for socket in (back, host):
        socket.send_frame(0x88, b"\x03\xe8")
        await socket.ended()


async def polling(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port)
    host = await Polling(record, "host", port).connect({"some": "auth"})
    await host.send("421" + json.dumps(["join-session", code, {"token": host_token}]))
    await host.get(3)
    await host.send('422["vote",{"movieID":"a","rating":3}]', '423["vote",{"movieID":"a","rating":9}]')
    await host.get(3)
    record.note("The upgrade")
    upgraded = WebSocket(record, "host")
    await upgraded.open(port, host.target.replace("polling", "websocket"))
    upgraded.send("2probe")
    await upgraded.get(1)
    upgraded.send("5")
    upgraded.send('424["withdraw-vote",{"movieID":"a"}]')
    await upgraded.get(2)
    await record.ask(port, "GET", host.target)
    upgraded.send("1")
    await upgraded.ended()
    record.note("A client that says goodbye")
    client = await Polling(record, "client", port).connect()
    await client.send("41")
    await client.send("1")
    await record.ask(port, "GET", client.target)


async def engine_io(record: Recording, services: Services) -> None:
    port = services["plain"].port
    base = "/socket.io/"
    for query in (
        "",
        "?EIO=3&transport=polling",
        "?transport=polling",
        "?EIO=4",
        "?EIO=4&transport=carrier-pigeon",
        "?EIO=4&transport=polling&sid=unknown",
        "?EIO=4&transport=websocket",
    ):
        await record.ask(port, "GET", base + query)
    poll = f"{base}?EIO=4&transport=polling"
    await record.ask(port, "POST", poll, b"40")
    await record.ask(port, "PUT", poll)
    await record.ask(port, "HEAD", poll)
    await record.ask(port, "GET", "/socket.io")
    for origin in (ALLOWED, "https://evil.example", f"http://127.0.0.1:{port}"):
        await record.ask(port, "GET", poll, Origin=origin)
        await record.ask(port, "OPTIONS", poll, Origin=origin, Access_Control_Request_Method="POST")
    record.note("WebSockets that are refused")
    for target, fields in (
        (f"{base}?EIO=3&transport=websocket", {}),
        (f"{base}?EIO=4&transport=websocket&sid=unknown", {}),
        (f"{base}?EIO=4&transport=websocket", {"Origin": "https://evil.example"}),
        ("/elsewhere", {}),
    ):
        refused = WebSocket(record, "client")
        await refused.open(port, target, **fields)
    record.note("An origin that is allowed")
    allowed = WebSocket(record, "client")
    await allowed.open(port, Origin=ALLOWED)
    await allowed.get(1)
    record.note("Packets that are none")
    for packet in (
        "",
        "9",
        "4",
        "49",
        "42",
        "42{}",
        "42[]",
        '42["connect"]',
        "40/other,",
        "451-[]",
        "4" + "x" * 300_000,
    ):
        client = await WebSocket(record, "client").connect(port)
        client.send(packet)
        if packet in ("40/other,",):
            await client.get(1)
        else:
            await client.ended()
    record.note("A binary frame, a frame without a mask, a ping and a close")
    client = await WebSocket(record, "client").connect(port)
    client.send_frame(0x82, b"x")
    await client.ended()
    client = await WebSocket(record, "client").connect(port)
    client.send_frame(0x89, b"hello")
    await client.get(1)
    client.send_frame(0x88, b"\x03\xe8")
    await client.ended()
    record.note("Disconnecting the namespace, and connecting it again")
    client = await WebSocket(record, "client").connect(port)
    client.send("41")
    client.send("40")
    await client.get(1)


async def malformed_http(record: Recording, services: Services) -> None:
    port = services["plain"].port
    path = b"/api/session/" + UNKNOWN.encode()
    for request in (
        b"GET " + path + b" HTTP/1.1\r\n\r\n",
        b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 17_000 + b"\r\n\r\n",
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"POST /api/session/join HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/session/join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        await record.ask_raw(port, request)


async def limits(record: Recording, services: Services) -> None:
    port = services["exhausted"].port
    record.note("The key that creating needs")
    await record.ask(port, "POST", _CREATE)
    await record.ask(port, "POST", _CREATE, token="wrong")
    made = (await record.ask(port, "POST", _CREATE, {"movies": _MOVIES, "capacity": 2}, token=CREATE_KEY)).json
    code, path, token = made["sessionID"], f"/api/session/{made['sessionID']}", made["hostToken"]
    record.note("Movies beyond the limit")
    await record.ask(port, "POST", f"{path}/movies", {"id": "z", "title": "Z"}, token=token)
    record.note("A second connection, and one participant too many")
    first = await WebSocket(record, "first").connect(port)
    ack = await _join(first, code)
    second = await WebSocket(record, "second").connect(port)
    second.send("422" + json.dumps(["join-session", code, {"token": ack["token"]}]))
    await second.get(2)
    await _join(second, code)
    await first.get(1)
    third = WebSocket(record, "third")
    await third.open(port)
    record.note("Too many failed look-ups: invalid tokens are such")
    for _ in range(4):
        await record.ask(port, "GET", path, token=_FORGED)
    await record.ask(port, "POST", _JOIN, {"sessionID": code})
    second.send("423" + json.dumps(["join-session", code, {"token": _FORGED}]))
    await second.get(2)
    record.note("No code is free")
    for _ in range(9):
        await record.unseen(port, "POST", _CREATE, token=CREATE_KEY)
    await record.ask(port, "POST", _CREATE, token=CREATE_KEY)
    record.note("Too many wrong keys")
    for _ in range(8):
        await record.unseen(port, "POST", _CREATE, token="wrong")
    for _ in range(2):
        await record.ask(port, "POST", _CREATE, token="wrong")


async def guessing(record: Recording, services: Services) -> None:
    port = services["brief"].port
    for _ in range(3):
        await record.unseen(port, "POST", _JOIN, body={"sessionID": UNKNOWN})
    await record.ask(port, "POST", _JOIN, {"sessionID": UNKNOWN})


async def deciding(record: Recording, services: Services) -> None:
    port = services["plain"].port
    code, host_token = await _session(record, port, title="Friday")
    path = f"/api/session/{code}"
    host = await WebSocket(record, "host").connect(port)
    await _join(host, code, {"name": "Ada", "token": host_token, "patches": True})
    guest = await WebSocket(record, "guest").connect(port)
    member = await _join(guest, code, {"name": "Bo"})
    await host.get(1)

    record.note("Too early")
    await record.ask(port, "GET", f"{path}/result")
    await record.ask(port, "DELETE", f"{path}/decision", token=host_token)
    await record.ask(port, "POST", f"{path}/decision", {}, token=host_token)
    record.note("A rating over HTTP, of which the participant's socket is told")
    await record.ask(port, "PUT", f"{path}/movies/a/vote", {"rating": 5}, token=member["token"])
    await guest.get(2, acks_first=False)
    await host.get(1)
    record.note("The decision")
    await record.ask(port, "POST", f"{path}/decision", {"movieID": "a"}, token=host_token)
    await host.get(2)
    await guest.get(2)
    for query in ("", "?format=csv"):
        await record.ask(port, "GET", f"{path}/result{query}")
    await record.ask(port, "PUT", f"{path}/movies/b/vote", {"rating": 5}, token=member["token"])
    guest.send('422["vote",{"movieID":"b","rating":5}]')
    await guest.get(1)
    record.note("Taken back, and made again over the socket")
    await record.ask(port, "DELETE", f"{path}/decision?clear=ratings", token=host_token)
    await host.get(2, acks_first=False)
    await guest.get(2, acks_first=False)
    host.send('422["decide"]')
    await host.get(1)
    guest.send('423["vote",{"movieID":"b","rating":4}]')
    await guest.get(2)
    await host.get(1)
    host.send('424["decide"]')
    await host.get(3)
    await guest.get(2)
    host.send('425["reopen",{"clear":"movies"}]')
    await host.get(3, acks_first=False)
    await guest.get(2, acks_first=False)
    record.note("Who leaves over HTTP")
    await record.ask(port, "DELETE", f"{path}/participants/{member['participantID']}", token=member["token"])
    await guest.get(2)
    await host.get(1)


async def expiring(record: Recording, services: Services) -> None:
    """The longest lifetime ends soon."""
    port = services["brief"].port
    made = (await record.ask(port, "POST", _CREATE)).json
    host = await WebSocket(record, "host").connect(port)
    host.send("421" + json.dumps(["join-session", made["sessionID"], {"token": made["hostToken"]}]))
    await host.get(4, acks_first=False)


async def troubles(record: Recording, services: Services) -> None:
    """Bodies that do not come, replies of Redis that do not, and a session that is broken."""
    port = services["brief"].port
    made = (await record.ask(port, "POST", _CREATE, {"movies": _MOVIES})).json
    path, token = f"/api/session/{made['sessionID']}", made["hostToken"]
    record.note("Bodies that do not come")
    for target in (_JOIN, _CREATE):
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
        await record.ask_raw(port, head.encode())
    record.note("Redis does not reply")
    services.redis.pause()
    await record.ask(port, "PATCH", path, {"title": "x"}, token=token)
    services.redis.resume()
    record.note("What is in Redis is no session")
    await services.redis.call("HSET", f"brief:{{{made['sessionID']}}}", "version", "x")
    await record.ask(port, "PATCH", path, {"title": "x"}, token=token)


async def redis_away(record: Recording, services: Services) -> None:
    port = services["away"].port
    await record.ask(port, "POST", _JOIN, {"sessionID": UNKNOWN})
    await record.ask(port, "POST", _CREATE)
    await record.ask(port, "GET", f"/api/session/{UNKNOWN}")
    await record.ask(port, "DELETE", f"/api/session/{UNKNOWN}", token=_FORGED)
    client = await WebSocket(record, "client").connect(port)
    client.send('421["join-session","2222222222"]')
    await client.get(2)
    client.send('422["vote",{"movieID":"a","rating":3}]')
    await client.get(1)
    await record.ask(services["away"].internal_port, "GET", "/readyz")


async def operators(record: Recording, services: Services) -> None:
    public, port = services["plain"].port, services["plain"].internal_port
    for path in ("/healthz", "/readyz", "/", "/operator/sessions"):
        await record.ask(port, "GET", path)
    code, host_token = await _session(record, public)
    host = await WebSocket(record, "host").connect(public)
    ack = await _join(host, code, {"token": host_token})
    path = f"/operator/sessions/{code}"
    await record.ask(port, "GET", path, token="wrong")
    await record.ask(port, "GET", path, token=OPERATOR_TOKEN)
    await record.ask(port, "GET", f"/operator/sessions/{UNKNOWN}", token=OPERATOR_TOKEN)
    for query in ("limit=0", "limit=x", "cursor=x"):
        await record.ask(port, "GET", f"/operator/sessions?{query}", token=OPERATOR_TOKEN)
    await record.ask(port, "POST", path, token=OPERATOR_TOKEN)
    await record.ask(port, "DELETE", "/operator/limits/127.0.0.1", token=OPERATOR_TOKEN)
    await record.ask(port, "DELETE", "/operator/limits/localhost", token=OPERATOR_TOKEN)
    await record.ask(port, "DELETE", f"{path}/participants/abcdefgh", token=OPERATOR_TOKEN)
    await record.ask(port, "DELETE", f"{path}/participants/{ack['participantID']}?ban=true", token=OPERATOR_TOKEN)
    await host.get(2)
    host.send("422" + json.dumps(["join-session", code]))
    await host.get(3, acks_first=False)
    await record.ask(port, "DELETE", path, token=OPERATOR_TOKEN)
    await host.get(2)
    await record.ask(port, "DELETE", path, token=OPERATOR_TOKEN)


async def documents(record: Recording, services: Services) -> None:
    """What they say for programs, part by part; the texts for people may change."""
    port = services["plain"].port
    for path in ("/openapi.json", "/asyncapi.json"):
        answer = await record.unseen(port, "GET", path)
        record.note(path)
        for name, value in answer.fields:
            if name.lower() != "content-length":
                record.write("<", f"{name}: {value}")
        for where, part in sorted(_parts(answer.json), key=lambda part: part[0]):
            plain = json.dumps(_without_texts(part), sort_keys=True)
            record.write("<", f"{where} {hashlib.sha256(plain.encode()).hexdigest()[:16]}")
    for path in ("/docs", "/", "/web/main.js", "/web/none.js"):
        answer = await record.unseen(port, "GET", path)
        record.note(path)
        record.write("<", answer.first)
        for name, value in answer.fields:
            if name.lower() not in ("content-length", "etag"):
                record.write("<", f"{name}: {value}")


def _parts(document: Any, where: str = "", depth: int = 3) -> list[tuple[str, Any]]:
    """The parts of a document down to the third level, each with where it is."""
    if not isinstance(document, dict) or depth == 0:
        return [(where, document)]
    return [
        part
        for name, value in document.items()
        if name not in ("info", *_TEXTS)
        for part in _parts(value, f"{where} {name}".strip(), depth - 1)
    ]


def _without_texts(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_texts(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _without_texts(value) for key, value in part.items() if key not in _TEXTS or not isinstance(value, str)
    }


async def drain(record: Recording, services: Services) -> None:
    """A replica that takes no clients any more."""
    port = services["leaving"].port
    await record.ask(services["leaving"].internal_port, "POST", "/operator/drain", token=OPERATOR_TOKEN)
    await asyncio.sleep(0)
    await record.ask(port, "GET", "/socket.io/?EIO=4&transport=polling")
    await WebSocket(record, "client").open(port)


Scenario = Callable[[Recording, Services], Awaitable[None]]

SCENARIOS: Final[tuple[Scenario, ...]] = (
    joining,
    creating,
    reading,
    methods_and_origins,
    changes_over_http,
    websocket,
    renaming,
    participants,
    observing,
    passcode,
    full,
    kick_ban_and_end,
    recovery,
    grace,
    polling,
    engine_io,
    malformed_http,
    limits,
    deciding,
    expiring,
    guessing,
    troubles,
    redis_away,
    operators,
    documents,
    drain,
)
