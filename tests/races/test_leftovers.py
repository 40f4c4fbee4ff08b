"""What there is in Redis: nothing that is not documented, nothing that stays."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from app.store import keys
from tests.harness.keys import KEYS
from tests.harness.people import Api, Made, movie
from tests.harness.sockets import Socket, open_sockets
from tests.harness.waiting import until
from tests.harness.world import World

SOCKETS: Final = 15
SESSIONS: Final = 9
STEPS: Final = 25

# One each, or one for each replica.
LASTING: Final = {"js:sessions", "js:due", "js:replicas", "js:secret", "js:marker", "js:replica:R:codes"}
DOCUMENTED: Final[list[str]] = re.findall(r"^``(js:\S+)``", keys.__doc__ or "", re.MULTILINE)


def kind_of(key: str) -> str:
    """The documented name of a key, in which capital letters stand for ids."""
    kinds = [name for name in DOCUMENTED if re.fullmatch(re.sub(r"[A-Z]", "[^:{}]+", re.escape(name)), key)]
    assert len(kinds) == 1, f"{key} is documented as {kinds}"
    return kinds[0]


def test_the_documented_keys_are_told_apart() -> None:
    assert not LASTING - set(DOCUMENTED)
    assert {kind_of(name) for name in DOCUMENTED} == set(DOCUMENTED)


async def test_every_key_is_documented_and_has_a_lifetime_whatever_happens_and_nothing_of_a_session_stays(
    world: World, api: Api
) -> None:
    drawn = random.Random(9)
    before = set(await world.topology.contents())
    done = asyncio.Event()
    watching = asyncio.create_task(watch(world, done))
    async with open_sockets(world.urls, SOCKETS) as sockets:
        made = [
            await api.create(
                ttlSeconds=2,
                capacity=6,
                movies=[movie(f"m{n}") for n in range(3)],
                leaverRatings=drawn.choice(["keep", "drop"]),
            )
            for _ in range(SESSIONS)
        ]
        await asyncio.gather(*(live(random.Random(n), socket, api, made) for n, socket in enumerate(sockets)))
        pids = [socket.pid for socket in sockets]
        for session in made[::2]:
            await api.call("DELETE", session.path, token=session.host_token)
    done.set()
    await watching

    codes = [session.code for session in made]

    async def nothing_left() -> bool:
        new = set(await world.topology.contents()) - before
        # The grace times of those who were in other tests' sessions may end now, which makes keys of those sessions.
        passing = LASTING | {"js:replica:R"} | {name for name in DOCUMENTED if name.startswith("js:{C}")}
        return not (await world.keys_of(codes, pids) or [key for key in new if kind_of(key) not in passing])

    await until(nothing_left, "no key is left of sessions that were ended or have expired")
    await until(lambda: unlisted(world, codes), "no list has them")


async def watch(world: World, done: asyncio.Event) -> None:
    """Looks at all keys again and again."""
    looks = 0
    while not done.is_set() or looks < 3:
        for key, expires in (await world.topology.contents()).items():
            # -2: gone since the list was made.
            assert (expires == -1) == (kind_of(key) in LASTING) or expires == -2, f"{key} expires at {expires}"
        looks += 1


async def live(drawn: random.Random, socket: Socket, api: Api, sessions: Sequence[Made]) -> None:
    """Somebody who does everything, whether it is allowed or not."""
    session = drawn.choice(sessions)
    token = ""
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: socket.emit(
            "vote", {"movieID": f"m{drawn.randrange(3)}", "rating": drawn.randint(1, 5), "mid": f"v{drawn.random()}"}
        ),
        lambda: socket.emit("add-movie", movie(f"x{drawn.randrange(30)}")),
        lambda: socket.emit("remove-movie", {"movieID": f"x{drawn.randrange(30)}"}),
        lambda: socket.emit("leave-session"),
        lambda: socket.emit("update-session", {"locked": drawn.random() < 0.1}),
        lambda: api.call("PATCH", session.path, token=session.host_token, json={"locked": False}),
        lambda: kick(api, session, drawn),
        lambda: api.call("PUT", f"{session.path}/movies/m1/vote", token=token or "none", json={"rating": 2}, key="one"),
    ]
    for _ in range(STEPS):
        if drawn.random() < 0.4:
            session = drawn.choice(sessions)
            options = drawn.choice([{}, {"token": token}, {"token": session.host_token}, {"name": "Zoë"}])
            ack = await socket.emit("join-session", session.code, options)
            token = ack.get("token", token)
        else:
            await drawn.choice(steps)()


async def kick(api: Api, session: Made, drawn: random.Random) -> None:
    answer = await api.call("GET", session.path)
    if answer.status_code == 200 and (there := answer.json()["sessionData"]["participants"]):
        whom = drawn.choice(there)["id"]
        ban = "true" if drawn.random() < 0.2 else "false"
        await api.call("DELETE", f"{session.path}/participants/{whom}?ban={ban}", token=session.host_token)


async def unlisted(world: World, codes: Sequence[str]) -> bool:
    listed: set[str] = set()
    for server in await world.topology.primaries():
        for key in [name.decode() for name in await server.call("KEYS", "js:*")]:
            if key in (KEYS.sessions, KEYS.due):
                listed |= {code.decode() for code in await server.call("ZRANGE", key, 0, -1)}
            elif kind_of(key) == "js:replica:R:codes":
                listed |= {code.decode() for code in await server.call("SMEMBERS", key)}
    return not listed & set(codes)
