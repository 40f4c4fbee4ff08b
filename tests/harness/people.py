"""Sessions and the people in them, for tests of a running service: HTTP by httpx, sockets by stock clients.

made = await api.create(title="Friday")
host = await people.join(made.code, token=made.host_token)
guest = await people.join(made.code, replica=1, transport="polling")
ack = await guest.do("vote", movieID="m1", rating=5)
seen = await host.at(ack["version"])
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest_asyncio

from tests.harness.conformance import check_answer
from tests.harness.here import Here
from tests.harness.node import Client, Event, NodeClients, node_clients
from tests.harness.service import Replica

__all__ = ["TRANSPORTS", "Api", "Made", "People", "Person", "api", "movie", "node", "people", "timeless"]

TRANSPORTS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
}


@dataclass(frozen=True)
class Made:
    """A session, as returned by `create`."""

    code: str
    host_token: str
    data: dict[str, Any]
    meta: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/api/session/{self.code}"


def timeless(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a session, as it was answered, without the time of the answer."""
    return {**state, "meta": {name: value for name, value in state["meta"].items() if name != "now"}}


class Api:
    """The HTTP API of some replicas; each call names the replica."""

    def __init__(self, replicas: Sequence[Replica | Here]) -> None:
        self._clients = [
            httpx.AsyncClient(base_url=replica.url, trust_env=False, verify=False, timeout=10) for replica in replicas
        ]

    async def call(
        self,
        method: str,
        path: str,
        *,
        replica: int = 0,
        token: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request; `options` are httpx's."""
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        if key is not None:
            given["Idempotency-Key"] = key
        answer = await self._clients[replica].request(method, path, headers=given, **options)
        check_answer(answer)
        return answer

    async def create(self, *, replica: int = 0, **body: Any) -> Made:
        answer = await self.call("POST", "/api/session/create", replica=replica, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Made(made["sessionID"], made["hostToken"], made["sessionData"], made["meta"])

    async def read(self, code: str, *, replica: int = 0) -> dict[str, Any]:
        answer = await self.call("GET", f"/api/session/{code}", replica=replica)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    async def join(
        self, session_id: Any, *, replica: int = 0, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call the join route, which changes nothing."""
        body = {"sessionID": session_id}
        return await self.call("POST", "/api/session/join", replica=replica, json=body, headers=headers)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class Person:
    """A stock client that has joined a session; `ack` is that of its `join-session`."""

    def __init__(self, client: Client, ack: dict[str, Any]) -> None:
        self.client = client
        self.ack = ack
        self.code: str = ack["sessionID"]
        self.id: str = ack["participantID"]
        self.token: str = ack["token"]

    async def do(self, event: str, **payload: Any) -> dict[str, Any]:
        """Emit an event, with a payload if there are any fields; return the ack."""
        ack: dict[str, Any] = await self.client.emit(event, *([payload] if payload else []), ack=True)
        return ack

    async def at(self, version: int, timeout: float = 5) -> dict[str, Any]:
        """Wait for the first update at this version or a later one; return its `sessionData`."""

        def new_enough(event: Event) -> bool:
            return event.name == "session-update" and event.args[1]["version"] >= version

        seen: dict[str, Any] = (await self.client.until(new_enough, timeout)).data
        return seen

    async def ended(self) -> dict[str, Any]:
        """Return the payload of `session-ended`."""
        payload: dict[str, Any] = (await self.client.until(lambda event: event.name == "session-ended")).data
        return payload


class People:
    """Connects clients to some replicas; `close` disconnects all of them."""

    def __init__(self, node: NodeClients, replicas: Sequence[Replica | Here]) -> None:
        self._node = node
        self._replicas = replicas
        self._clients: list[Client] = []

    async def connect(self, *, replica: int = 0, transport: str = "websocket", **options: Any) -> Client:
        given = TRANSPORTS[transport] | options
        client = await self._node.connect(self._replicas[replica].url, **given)
        self._clients.append(client)
        return client

    async def join(
        self,
        code: str,
        *,
        name: str | None = None,
        token: str | None = None,
        replica: int = 0,
        transport: str = "websocket",
        **options: Any,
    ) -> Person:
        """Connect a client and join; raises AssertionError if the join is refused."""
        client = await self.connect(replica=replica, transport=transport, **options)
        given = {name: value for name, value in (("name", name), ("token", token)) if value is not None}
        ack = await client.emit("join-session", code, *([given] if given else []), ack=True)
        assert ack["ok"], ack
        return Person(client, ack)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[NodeClients]:
    """A Node process for all clients."""
    async with node_clients() as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(service: list[Replica]) -> AsyncIterator[Api]:
    """The HTTP API of the three shared replicas."""
    opened = Api(service)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def people(node: NodeClients, service: list[Replica]) -> AsyncIterator[People]:
    """Clients of the three shared replicas, disconnected at the end of the test."""
    gathered = People(node, service)
    yield gathered
    await gathered.close()


_numbers = itertools.count(1)


def movie(movie_id: str | None = None, **details: Any) -> dict[str, Any]:
    """Return a movie to add, with a unique id unless one is given."""
    number = next(_numbers)
    return {"id": movie_id or f"m{number}", "title": f"Movie {number}", **details}
