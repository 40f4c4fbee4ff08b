"""A hundred stock clients in sessions that change all the time, and how long they went without news."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.harness.node import Client, Event, NodeClients
from tests.harness.people import TRANSPORTS

__all__ = ["POLLING_WITH_COOKIES", "Crowd", "crowd"]

SESSIONS: Final = 5
CLIENTS: Final = 100
INTERVAL: Final = 0.5
# Options of a client.
Kind = dict[str, Any]
COOKIES: Final[Kind] = {"withCredentials": True}
KINDS: Final = [transport | cookies for transport in TRANSPORTS.values() for cookies in ({}, COOKIES)]
POLLING_WITH_COOKIES: Final = [TRANSPORTS["polling"] | COOKIES]
# What a change is answered with while a replica or Redis is unavailable; it is repeated with the same key.
AGAIN: Final = {429, 500, 502, 503, 504}


@dataclass
class Session:
    """A session, its clients, and the changes that were acknowledged: version and time.

    `wanderers` are the clients without cookies that begin by polling, so that any request may come to any replica.
    """

    code: str
    host_token: str
    clients: list[Client] = field(default_factory=list)
    wanderers: list[Client] = field(default_factory=list)
    commits: list[tuple[int, float]] = field(default_factory=list)
    movies: set[str] = field(default_factory=set)
    committed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settlers(self) -> list[Client]:
        return [client for client in self.clients if client not in self.wanderers]


class Crowd:
    """Sessions with clients of all transports, half of them with cookies."""

    def __init__(self, sessions: list[Session], api: httpx.AsyncClient) -> None:
        self.sessions = sessions
        self._api = api

    @property
    def clients(self) -> Iterator[Client]:
        return itertools.chain.from_iterable(session.clients for session in self.sessions)

    async def keep_changing(self, session: Session) -> None:
        for number in itertools.count():
            version = await self.mutate(session, "PATCH", "", {"title": f"Evening {number}"}, f"title-{number}")
            session.commits.append((version, time.time()))
            session.committed.set()
            await asyncio.sleep(INTERVAL)

    async def settled(self, timeout: float = 90) -> None:
        """Waits until every client has a version acknowledged after this call."""
        for session in self.sessions:
            session.committed.clear()
            await asyncio.wait_for(session.committed.wait(), timeout)
            version = session.commits[-1][0]
            await asyncio.gather(*(client.until(_at(version), timeout) for client in session.clients))

    def moved(self, since: float) -> int:
        """How many clients have connected anew since a time."""
        return sum(any(event.at >= since for event in client.named("connect")) for client in self.clients)

    def longest_silence(self, since: float) -> float:
        """The longest time, in seconds, in which no change of a session was acknowledged."""
        return max(
            later[1] - earlier[1]
            for session in self.sessions
            for earlier, later in itertools.pairwise(session.commits)
            if later[1] >= since
        )

    def longest_gap(self, since: float, *, wanderers: bool) -> tuple[float, str]:
        """The longest time from an acknowledgement to that or newer news at a client, since a time.

        In seconds, with what that client went through; of the wanderers, or of the others.
        """
        worst, who = 0.0, None
        for session in self.sessions:
            commits = [commit for commit in session.commits if commit[1] >= since]
            for client in session.wanderers if wanderers else session.settlers:
                gap = max(_gaps(commits, _changed(client)), default=0.0)
                if gap > worst:
                    worst, who = gap, client
        return worst, _story(who, since) if who else ""

    async def nothing_is_lost(self) -> None:
        """All that was acknowledged is there, in an unbroken history, and everybody has seen it in order."""
        for session in self.sessions:
            acknowledged = [version for version, _ in session.commits]
            read = (await self._api.get(f"/api/session/{session.code}")).json()
            assert read["meta"]["version"] >= acknowledged[-1]
            assert session.movies <= {movie["id"] for movie in read["sessionData"]["movies"]}
            assert acknowledged == sorted(set(acknowledged))
            for client in session.clients:
                metas = [event.args[1] for event in client.named("session-update")]
                assert len({meta["epoch"] for meta in metas}) == 1
                assert [meta["version"] for meta in metas] == sorted(meta["version"] for meta in metas)
                assert len(client.named("joined-session")) == 1

    async def add_movie(self, name: str) -> None:
        """To each session a movie that must be there at the end."""
        for session in self.sessions:
            await self.mutate(session, "POST", "/movies", {"movies": [{"id": name, "title": name}]}, name)
            session.movies.add(name)

    async def mutate(self, session: Session, method: str, path: str, body: dict[str, Any], key: str) -> int:
        """A change, repeated with its key until it is acknowledged; its version."""
        headers = {"Authorization": f"Bearer {session.host_token}", "Idempotency-Key": key}
        path = f"/api/session/{session.code}{path}"
        answer = await _answered(self._api, method, path, json=body, headers=headers, timeout=5)
        assert answer.status_code == 200, answer.text
        version: int = answer.json()["version"]
        return version


@asynccontextmanager
async def crowd(
    node: NodeClients,
    url: str,
    *,
    clients: int = CLIENTS,
    kinds: Sequence[Kind] = KINDS,
    joining: bool = False,
    **options: Any,
) -> AsyncIterator[Crowd]:
    """Joined, and with changes going on; all clients are closed at the end. `options` are those of `io()`.

    `joining`: each joins over HTTP before it connects, as pages do, and sends the cookie that it gets for its session.
    """
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=10) as api:
        sessions = [await _create(api) for _ in range(SESSIONS)]
        gathered = Crowd(sessions, api)
        for session in sessions:
            version = await gathered.mutate(session, "PATCH", "", {"title": "Before"}, "before")
            session.commits.append((version, time.time()))
        for number in range(clients):
            session = sessions[number % SESSIONS]
            kind = kinds[number % len(kinds)]
            cookies: Kind = {"extraHeaders": {"Cookie": await _bucket_of(url, session.code)}} if joining else {}
            client = await node.connect(url, timeout=60, **kind, **cookies, **options)
            ack = await client.emit("join-session", session.code, ack=True, timeout=30)
            assert ack["ok"], ack
            session.clients.append(client)
            if not kind.keys() & COOKIES.keys() and kind != TRANSPORTS["websocket"]:
                session.wanderers.append(client)
        changing = [asyncio.create_task(gathered.keep_changing(session)) for session in sessions]
        try:
            await gathered.settled()
            yield gathered
        finally:
            for task in changing:
                task.cancel()
            results = await asyncio.gather(*changing, return_exceptions=True)
            await asyncio.gather(*(client.close() for client in gathered.clients), return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def _bucket_of(url: str, code: str) -> str:
    """The cookie that whoever joins a session over HTTP gets for it, as a client sends it."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as newcomer:
        answer = await newcomer.post("/api/session/join", json={"sessionID": code})
    assert answer.status_code == 200, answer.text
    (cookie,) = [found for found in answer.headers.get_list("set-cookie") if "bucket=" in found]
    return cookie.partition(";")[0]


async def _answered(api: httpx.AsyncClient, method: str, path: str, **request: Any) -> httpx.Response:
    """The answer to a request, which is repeated while a replica or Redis is unavailable and over a lost connection."""
    while True:
        with suppress(httpx.TransportError):
            answer = await api.request(method, path, **request)
            if answer.status_code not in AGAIN:
                return answer
        await asyncio.sleep(0.2)


async def _create(api: httpx.AsyncClient) -> Session:
    answer = await _answered(api, "POST", "/api/session/create", json={"capacity": 200})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Session(made["sessionID"], made["hostToken"])


def _changed(client: Client) -> list[tuple[int, float]]:
    return [(event.args[1]["version"], event.at) for event in client.named("session-update")]


def _gaps(commits: list[tuple[int, float]], news: list[tuple[int, float]]) -> Iterator[float]:
    """For each commit how long after its acknowledgement a client had it or something newer."""
    coming = iter(news)
    version, at = 0, 0.0
    for wanted, acknowledged in commits:
        while version < wanted:
            following = next(coming, None)
            if following is None:
                # Not yet there: the caller looks only once everybody has settled, so these are of the last moment.
                return
            version, at = following
        yield max(0.0, at - acknowledged)


def _story(client: Client, since: float) -> str:
    """What a client went through, its connections and not its news, in seconds since a time."""
    events = [event for event in client.events if event.at >= since and event.name != "session-update"]
    return "\n".join(f"{event.at - since:7.2f} {event.name} {event.args}"[:200] for event in events)


def _at(version: int) -> Any:
    def reached(event: Event) -> bool:
        return event.name == "session-update" and event.args[1]["version"] >= version

    return reached
